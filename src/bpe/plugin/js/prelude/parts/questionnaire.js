// Items of QuestionnaireResponses, and who may answer them (spec/bpe.md §4 and §6.6).

export default ({ plugin, copy, isText }) => {
  const AUTHORIZATION = "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
  const NAMED = { system: "http://example.org/fhir/CodeSystem/name", code: "code" };

  // What stands in a form until somebody answers.
  const PLACEHOLDERS = {
    string: { valueString: "Placeholder.." },
    text: { valueString: "Placeholder.." },
    integer: { valueInteger: 0 },
    decimal: { valueDecimal: 0 },
    boolean: { valueBoolean: false },
    date: { valueDate: "1900-01-01" },
    time: { valueTime: "00:00:00" },
    dateTime: { valueDateTime: "1900-01-01T00:00:00.000Z" },
    url: { valueUri: "http://example.org/foo" },
    reference: { valueReference: { reference: "http://example.org/fhir/Placeholder/id" } },
    choice: { valueCoding: NAMED },
    quantity: { valueQuantity: { value: 0, unit: "unit", ...NAMED } },
  };

  const leaves = (items) =>
    (items ?? []).flatMap((item) => (item.item?.length > 0 ? leaves(item.item) : [item]));

  function complete(element, member, what) {
    for (const part of ["system", member]) {
      if (!isText(element?.[part]) || element[part] === "") throw new TypeError(`${what}.${part} is missing`);
    }
    return element;
  }

  const questionnaireResponseHelper = {
    getItemLeaves(response) {
      return leaves(response?.item);
    },
    getItemLeavesMatchingLinkId(response, linkId) {
      return leaves(response?.item).filter((item) => item.linkId === linkId);
    },
    getFirstItemLeaveMatchingLinkId(response, linkId) {
      return this.getItemLeavesMatchingLinkId(response, linkId)[0] ?? null;
    },
    /** The answer is an element: `{ valueString: … }`. */
    addItemLeafWithAnswer(response, linkId, text, answer) {
      (response.item ??= []).push({ linkId, text, answer: [answer] });
    },
    addItemLeafWithoutAnswer(response, linkId, text) {
      (response.item ??= []).push({ linkId, text });
    },
    transformQuestionTypeToAnswerType(question) {
      const answer = PLACEHOLDERS[question?.type];
      if (!answer) throw new TypeError(`an item of type ${question?.type} has no answer`);
      return copy(answer);
    },
    getLocalVersionlessAbsoluteUrl(response) {
      return response?.id ? `${plugin.baseUrl}/QuestionnaireResponse/${response.id}` : null;
    },
    createQuestionnaireAuthorizationExtension(practitioners, practitionerRoles) {
      const extension = [
        ...(practitioners ?? []).map((one) => this.createQuestionnaireAuthorizationPractitionerSubExtension(one)),
        ...(practitionerRoles ?? []).map((one) => this.createQuestionnaireAuthorizationPractitionerRoleSubExtension(one)),
      ];
      return { url: AUTHORIZATION, extension };
    },
    createQuestionnaireAuthorizationPractitionerSubExtension(identifier) {
      return { url: "practitioner", valueIdentifier: complete(identifier, "value", "practitioner") };
    },
    createQuestionnaireAuthorizationPractitionerRoleSubExtension(coding) {
      return { url: "practitioner-role", valueCoding: complete(coding, "code", "practitionerRole") };
    },
  };

  return { questionnaireResponseHelper };
};

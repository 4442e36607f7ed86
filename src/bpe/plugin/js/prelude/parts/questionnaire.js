// Items of QuestionnaireResponses, and who may answer them (spec/bpe.md §4 and §6.6).

export default ({ plugin, copy, isText, describe, SID_PRACTITIONER, PRACTITIONER_ROLE, api }) => {
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

  // ---- The form of a user task, as its listener wants it ----

  /** `value`, `system|value`, or the element itself. */
  function qualified(one, system, member) {
    if (!isText(one)) return complete(one, member, describe(one));
    const parts = one.split("|");
    if (parts.length > 2) throw new TypeError(`'${one}' has more than one |`);
    return parts.length === 2 ? { system: parts[0], [member]: parts[1] } : { system, [member]: one };
  }

  /** Who may answer, as the code says; where it says nothing, as the fields of the model do. */
  async function authorization(entry, call, variables) {
    const said = async (name, url, value, system, member) => {
      const found = await entry[name]?.(api, variables, call.values);
      if (found === undefined || found === null) return null;
      const all = typeof found === "object" && !Array.isArray(found) && found[Symbol.iterator] ? [...found] : [found].flat();
      return all.map((one) => ({ url, [value]: qualified(one, system, member) }));
    };
    const persons = await said("getPractitioners", "practitioner", "valueIdentifier", SID_PRACTITIONER, "value");
    const roles = await said("getPractitionerRoles", "practitioner-role", "valueCoding", PRACTITIONER_ROLE, "code");
    const usual = (call.form.extension ?? []).find((one) => one.url === AUTHORIZATION)?.extension ?? [];
    const of = (url) => usual.filter((one) => one.url === url);
    return [...(persons ?? of("practitioner")), ...(roles ?? of("practitioner-role"))];
  }

  /** The form before it is on the server: made by the code or as usual, changed in place, or returned anew. */
  async function composed(entry, call, variables) {
    const admitted = await authorization(entry, call, variables);
    const made = await entry.createQuestionnaireResponse?.(api, variables, call.values, call.questionnaire);
    let form = made ?? call.form;
    const others = (form.extension ?? []).filter((one) => one.url !== AUTHORIZATION);
    const own = made ? (made.extension ?? []).filter((one) => one.url === AUTHORIZATION) : [];
    const named = own.length > 0 || admitted.length === 0 ? own : [{ url: AUTHORIZATION, extension: admitted }];
    form.extension = [...others, ...named];
    if (form.extension.length === 0) delete form.extension;
    form = (await entry.beforeQuestionnaireResponseCreate?.(api, variables, call.values, form)) ?? form;
    return { form };
  }

  return { questionnaireResponseHelper, composed };
};

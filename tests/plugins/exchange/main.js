const INPUT = "http://example.org/fhir/CodeSystem/exchange";
const PARTNER = "External_Test_Organization";

function input(api, variables, code, otherwise) {
  const task = variables.getStartTask();
  return api.getTaskHelper().getFirstInputParameterStringValue(task, INPUT, code) ?? otherwise;
}

function note(api, variables, code, text) {
  const task = variables.getStartTask();
  task.output = [...(task.output ?? []), api.getTaskHelper().createOutput(text, INPUT, code, "1.0")];
  variables.updateTask(task);
}

const answerTo = (form, linkId) => form.item.find((item) => item.linkId === linkId)?.answer?.[0];

export const activities = {
  "org.example.Prepare": (api, variables) => {
    const usual = "http://example.org/fhir/Questionnaire/approve|1.0";
    variables.setString("patience", input(api, variables, "patience", "PT1H"));
    variables.setString("form", input(api, variables, "form", usual));
  },

  // Runs beside the listener that makes the form (spec/bpe.md §4.1).
  "org.example.Beside": (api, variables, values) => variables.setString("beside", `${values.userTaskId} ${values.formKey}`),

  // Stands for the usual listener: it changes the form, and sees it once more when it is there.
  "org.example.AskForApproval": {
    beforeQuestionnaireResponseCreate(api, variables, values, form) {
      form.item.find((item) => item.linkId === "note").answer = [{ valueString: "for the test" }];
      variables.setString("asked", values.userTaskId);
    },
    afterQuestionnaireResponseCreate(api, variables, values, form) {
      variables.setString("created", form.id);
    },
  },

  "org.example.Read": (api, variables) => {
    const form = variables.getLatestReceivedQuestionnaireResponse();
    const same =
      form.id === variables.getString("created") &&
      answerTo(form, "user-task-id").valueString === variables.getString("asked") &&
      variables.getString("beside") === `${variables.getString("asked")} ${form.questionnaire}`;
    note(api, variables, "same-form", String(same));
    note(api, variables, "approved", String(answerTo(form, "approved").valueBoolean));
  },

  "org.example.SelectPartner": async (api, variables) => {
    const endpoint = await api.getEndpointProvider().getEndpoint(PARTNER.replace("Organization", "Endpoint"));
    const id = endpoint.identifier[0].value;
    variables.setTarget(variables.createTarget(PARTNER, id, endpoint.address));
  },

  "org.example.AskPartner": {},
};

// One process with a way for each case of spec/bpe.md §3: the start Task names it.

const INPUT = "http://example.org/fhir/CodeSystem/letter";

function note(api, variables, code, text) {
  const task = variables.getStartTask();
  if (!task) return;
  task.output = [...(task.output ?? []), api.getTaskHelper().createOutput(text, INPUT, code, "1.0")];
  variables.updateTask(task);
}

export const activities = {
  "org.example.Choose": (api, variables) => {
    const task = variables.getStartTask();
    variables.setString("way", api.getTaskHelper().getFirstInputParameterStringValue(task, INPUT, "way"));
  },

  "org.example.Rename": (api, variables) => variables.setAlternativeBusinessKey("another name"),

  "org.example.Throw": () => {
    throw new RangeError("too far");
  },

  "org.example.BeforeTheEnd": (api, variables) => note(api, variables, "before", variables.getStartTask().status),

  "org.example.AtTheEnd": (api, variables) => note(api, variables, "after", variables.getStartTask().status),

  "org.example.Early": (api, variables) => {
    variables.getStartTaskUpdater().addOutput(INPUT, "early", "1.0", "seen while it runs");
  },
};

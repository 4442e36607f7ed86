// One entry for each camunda:class in bpe/hello-world.bpmn.
export const activities = {
  "org.example.Greet": async (api, variables) => {
    const own = await api.getOrganizationProvider().getLocalOrganizationIdentifierValue();
    const greeting = `Hello from ${own}`;
    api.logger.info(greeting);

    const task = variables.getStartTask();
    const output = api.getTaskHelper().createOutput(greeting, "http://example.org/fhir/CodeSystem/hello-world", "greeting");
    task.output = [...(task.output ?? []), output];
    variables.updateTask(task);
  },
};

export const activities = {
  // Not code alone: it asks the host, too.
  "org.example.Calm": async (api) => {
    api.logger.info(`calm at ${await api.getOrganizationProvider().getLocalOrganizationIdentifierValue()}`);
  },
};

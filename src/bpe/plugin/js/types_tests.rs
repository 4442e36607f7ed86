//! `dsf.d.ts` against what the host really has: each declares all of the other.

use std::collections::{BTreeMap, BTreeSet};

use super::Pool;
use super::TYPES;
use super::tests::{LIMITS, call, program};

/// Objects of every interface, by its name; each is asked for its members.
const LISTING: &str = r#"
  const members = (one) => {
    const names = new Set(Object.keys(one));
    for (let type = Object.getPrototypeOf(one); type && type !== Object.prototype; type = Object.getPrototypeOf(type)) {
      for (const name of Object.getOwnPropertyNames(type)) if (name !== "constructor") names.add(name);
    }
    return [...names].sort();
  };
  export const activities = {
    list: async (api, variables) => {
      const target = variables.createTarget("o", "e", "u");
      const requesters = api.getProcessAuthorizationHelper().getRequesterFactory();
      const recipients = api.getProcessAuthorizationHelper().getRecipientFactory();
      const client = api.getDsfClientProvider().getLocal();
      const crypto = api.getCryptoService();
      const objects = {
        Api: api, ProcessPluginDefinition: api.getProcessPluginDefinition(), Logger: api.logger, DataLogger: api.getDataLogger(), Variables: variables, Target: target,
        Targets: variables.createTargets(target), StartTaskUpdater: variables.getStartTaskUpdater(),
        OrganizationProvider: api.getOrganizationProvider(), EndpointProvider: api.getEndpointProvider(),
        TargetProvider: api.getTargetProvider(), TargetBuilder: api.getTargetProvider().create("p"),
        TaskHelper: api.getTaskHelper(), DsfClientProvider: api.getDsfClientProvider(), DsfClient: client,
        BinaryStream: await client.readBinary("1"), FhirClientConfigProvider: api.getFhirClientConfigProvider(),
        ClientConfig: await api.getFhirClientConfigProvider().getClientConfig("id"),
        OidcClientProvider: api.getOidcClientProvider(), OidcClient: api.getOidcClientProvider().getOidcClient("id"),
        ReadAccessHelper: api.getReadAccessHelper(), ProcessAuthorizationHelper: api.getProcessAuthorizationHelper(),
        RequesterFactory: requesters, RecipientFactory: recipients, Requester: requesters.localAll(),
        Recipient: recipients.localAll(), QuestionnaireResponseHelper: api.getQuestionnaireResponseHelper(),
        CompressionService: api.getCompressionService(), CryptoService: crypto, Kem: crypto.createRsaKem(),
        KeyPairGenerator: crypto.createKeyPairGeneratorX448AndInitialize(), MailService: api.getMailService(),
        MimeTypeService: api.getMimeTypeService(), ValidationServiceProvider: api.getValidationServiceProvider(),
        ValidationService: await api.getValidationServiceProvider().getValidationService(),
        ProxyConfig: api.getProxyConfig(),
      };
      return Object.fromEntries(Object.entries(objects).map(([name, one]) => [name, members(one)]));
    },
  };
"#;

/// The members of each interface, a line each in the file.
pub(in crate::bpe::plugin) fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    let mut current: Option<(String, BTreeSet<String>)> = None;
    for line in TYPES.lines() {
        if let Some(rest) = line.strip_prefix("interface ") {
            let name = rest.split([' ', '<']).next().unwrap().to_owned();
            current = Some((name, BTreeSet::new()));
        } else if line == "}" {
            found.extend(current.take());
        } else if let Some((_, members)) = &mut current
            && let Some(rest) = line.strip_prefix("  ")
            && rest.starts_with(|one: char| one.is_ascii_alphabetic())
        {
            let rest = rest.strip_prefix("readonly ").unwrap_or(rest);
            let end = rest.find(['(', ':', '<', '?']).unwrap();
            members.insert(rest[..end].to_owned());
        }
    }
    found
}

#[tokio::test]
async fn every_member_of_the_host_is_declared_and_nothing_else() {
    let pool = Pool::new(program(&[("main.js", LISTING)]), LIMITS);
    let answer = call(&pool, "list").await.unwrap();
    let real: BTreeMap<String, BTreeSet<String>> =
        serde_json::from_value(answer["value"].clone()).unwrap_or_else(|_| panic!("{answer}"));
    let mut declared = declared();
    assert_eq!(
        declared.remove("HostError").map(|members| members.len()),
        Some(2)
    );
    let names = |all: &BTreeMap<String, BTreeSet<String>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&declared), names(&real));
    for (name, members) in &real {
        assert_eq!(&declared[name], members, "{name}");
    }
}

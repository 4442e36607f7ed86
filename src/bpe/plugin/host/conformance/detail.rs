//! What few plugins need: forms of their own making, how clients are set up, word of deployments.

use super::*;

/// Spec/bpe.md §4.2: all that the listener of a user task may override.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_have_their_say_in_the_form() {
    let resource = |value: Value| Resource::from_value(value).unwrap();
    let who = "http://dsf.dev/fhir/StructureDefinition/extension-questionnaire-authorization";
    let fields = json!([{ "url": "practitioner", "valueIdentifier": { "value": "of the fields" } },
        { "url": "practitioner-role", "valueCoding": { "code": "OF_THE_FIELDS" } }]);
    let usual = || {
        resource(json!({
            "resourceType": "QuestionnaireResponse", "questionnaire": "http://form|1.0",
            "status": "in-progress", "extension": [{ "url": who, "extension": fields }],
        }))
    };
    let before = || {
        let questionnaire = json!({ "resourceType": "Questionnaire", "id": "q1" });
        FormMoment::Before(Box::new(resource(questionnaire)))
    };
    let listener = |class: &str| {
        let event = "create".to_owned();
        let kind = CallKind::TaskListener {
            event,
            task: WaitId(1),
        };
        activity(class, kind)
    };
    for_each(async |language, plugins, _world| {
        let (performance, form) = plugins.form(listener("form"), before(), usual()).await;
        assert_eq!(performance.outcome, Performed::Done, "{language}");
        assert_eq!(form.str("status"), Some("completed"), "{language}");
        assert_eq!(form.get("extension"), usual().get("extension"), "{language}");

        let (performance, form) = plugins.form(listener("composing"), before(), usual()).await;
        assert_eq!(performance.outcome, Performed::Done, "{language}");
        assert_eq!(form.str("authored"), Some("2026"), "{language}");
        assert_eq!(form.get("item"), Some(&json!([{ "linkId": "q1" }])), "{language}");
        let sid = "http://dsf.dev/sid/practitioner-identifier";
        let person = |system: &str, value: &str| {
            let identifier = json!({ "system": system, "value": value });
            json!({ "url": "practitioner", "valueIdentifier": identifier })
        };
        let admitted = json!([{ "url": who, "extension": [
            person(sid, "36@x"), person("http://s", "b@x"), person("http://i", "c@x"), fields[1],
        ] }]);
        assert_eq!(form.get("extension"), Some(&admitted), "{language}");

        let (_, form) = plugins.form(listener("rolesOnly"), before(), usual()).await;
        let role = json!({ "system": "http://dsf.dev/fhir/CodeSystem/practitioner-role", "code": "DIC_USER" });
        let role = json!({ "url": "practitioner-role", "valueCoding": role });
        let admitted = json!([{ "url": who, "extension": [fields[0], role] }]);
        assert_eq!(form.get("extension"), Some(&admitted), "{language}");

        let there = usual().with("id", "f1");
        let (performance, _) = plugins.form(listener("composing"), FormMoment::After, there).await;
        assert_eq!(result(&performance), "f1", "{language}");
        let code = plugins.form_code(&process("may"), "rolesOnly").unwrap();
        assert!(code.before && !code.after, "{language}");
    })
    .await;
}

/// Spec/bpe.md §6.6 and §10.2: what is told of clients, and to whom.
#[tokio::test(flavor = "multi_thread")]
async fn set_ups_of_clients_are_told_and_secrets_to_those_who_may() {
    for_each(async |language, plugins, world| {
        let (own, partner) = (&world.own.base, &world.partner.base);
        let found = result(&service(&plugins, "configs").await);
        let proxy = json!(["http://proxy", null, null]);
        let told = |id: &str, base: &str, times: [u32; 2], rest: [Value; 4]| {
            let [certificate, basic, bearer, oidc] = rest;
            json!([
                id,
                base,
                false,
                times[0],
                times[1],
                null,
                certificate,
                basic,
                bearer,
                oidc,
                proxy
            ])
        };
        let no = || Value::Null;
        let usual = [2_000, 600_000];
        let oidc = json!(["dsf", "hidden", 10_000, null, false, true, true, true]);
        let mut expected = vec![
            told("store", partner, usual, [no(), json!("secret"), no(), no()]),
            told("keyed", partner, usual, [json!(true), no(), no(), no()]),
            told("token", partner, usual, [no(), no(), json!("bear"), no()]),
            told("oidc", partner, [5_000, 600_000], [no(), no(), no(), oidc]),
            told("#local", own, [2_000, 10_000], [no(), no(), no(), no()]),
            told(
                "#partner",
                partner,
                [2_000, 10_000],
                [no(), no(), no(), no()],
            ),
        ];
        expected.extend([no(), no(), no(), json!(partner), no(), json!(own), no()]);
        assert_eq!(found, json!(expected), "{language}");

        let mut unallowed = activity("configs", CallKind::Service);
        unallowed.process = process("told-nothing");
        let found = result(&plugins.perform(unallowed).await);
        assert_eq!(
            (&found[0][7], &found[2][8]),
            (&no(), &no()),
            "{language}: {found}"
        );
        assert_eq!(
            (&found[1][6], &found[3][9][1]),
            (&no(), &no()),
            "{language}: {found}"
        );
        assert_eq!(
            (&found[4], &found[5]),
            (&no(), &no()),
            "{language}: {found}"
        );
    })
    .await;
}

/// Python has every member that `dsf.d.ts` declares, so that what is said of one runner holds for both.
#[tokio::test(flavor = "multi_thread")]
async fn python_has_every_member_that_is_declared() {
    let world = world().await;
    let [_, (_, program, offer)] = programs(&world.own.base);
    let plugins = plugins(&program, &offer, &world.services);
    let real = result(&service(&plugins, "members").await);
    for (interface, mut members) in js::types_tests::declared() {
        // Java has it by a getter, JavaScript for its own use; the other is an exception's.
        members.remove("toJSON");
        if interface == "HostError" {
            continue;
        }
        let there = real[&interface].as_array();
        let there = there.unwrap_or_else(|| panic!("{interface} is not listed"));
        let missing: Vec<_> = members
            .iter()
            .filter(|one| !there.contains(&json!(one)))
            .collect();
        assert!(missing.is_empty(), "{interface} lacks {missing:?}");
    }
}

/// Spec/bpe.md §5.7, §6.8: `ProcessPluginDeploymentListener`; what it throws is for the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_which_of_its_processes_are_deployed() {
    for_each(async |language, plugins, world| {
        let keys = ["may".to_owned(), "other".to_owned()];
        let told = plugins.deployed(&process("may"), &keys).await;
        assert_eq!(told, Ok(()), "{language}");
        let asked = world.own.taken();
        let noted = asked.iter().find(|one| one.path == "List").unwrap();
        assert!(
            noted.text().contains("may other"),
            "{language}: {}",
            noted.text()
        );

        let refused = plugins.deployed(&process("may-not"), &keys).await;
        let why = refused.unwrap_err();
        assert!(why.contains("local-fhir"), "{language}: {why}");
        let why = plugins.deployed(&process("may"), &[]).await.unwrap_err();
        assert!(why.contains("nothing runs (main."), "{language}: {why}");
    })
    .await;
}

//! auth-config §2.7: what a role file may look like and what becomes of it.

use crate::auth::identity::Coding;
use crate::auth::right::Operation::{self, Create, Delete, Read, Search, Update};
use crate::auth::roles::{Claims, Roles, RuleText};
use crate::r4::ResourceType::{self, Binary, Group, Subscription, Task};

const PRACTITIONER_ROLE: &str = "http://dsf.dev/fhir/CodeSystem/practitioner-role";

fn by_email(email: &str) -> Claims<'_> {
    Claims {
        email: Some(email),
        ..Claims::default()
    }
}

fn allowed(roles: &Roles, email: &str) -> Vec<(Operation, ResourceType)> {
    let Some(granted) = roles.granted(&by_email(email)) else {
        return Vec::new();
    };
    let kinds = [Binary, Group, Subscription, Task];
    Operation::ALL
        .into_iter()
        .flat_map(|operation| kinds.map(|kind| (operation, kind)))
        .filter(|(operation, kind)| granted.rights.allow(*operation, *kind))
        .collect()
}

fn yaml(rule: &str) -> Roles {
    Roles::from_yaml(&format!("- rule:\n    email: a@example.org\n{rule}")).unwrap()
}

#[test]
fn every_shape_of_dsf_role_grants_what_it_says_and_no_more() {
    let all = |operation| {
        [Binary, Group, Subscription, Task]
            .map(|kind| (operation, kind))
            .to_vec()
    };
    let table: [(&str, Vec<_>, usize); 14] = [
        ("    dsf-role: READ", all(Read), 0),
        ("    dsf-role: [READ]", all(Read), 0),
        (
            "    dsf-role:\n      - READ: [Task, Binary]",
            vec![(Read, Binary), (Read, Task)],
            0,
        ),
        (
            "    dsf-role: [READ: [Group], SEARCH: [Group]]",
            vec![(Read, Group), (Search, Group)],
            0,
        ),
        ("    dsf-role: [READ: []]", all(Read), 0),
        (
            "    dsf-role: [UPDATE: [Subscription]]",
            vec![(Update, Subscription)],
            0,
        ),
        (
            "    dsf-role:\n      - READ: &t [Task]\n      - SEARCH: *t",
            vec![(Read, Task), (Search, Task)],
            0,
        ),
        (
            "    dsf-role: [READ: [Group, Unknown], CREATE: [Task]]",
            vec![(Create, Task)],
            1,
        ),
        (
            "    dsf-role: [read, WRITE, SEARCH: [Group]]",
            vec![(Search, Group)],
            2,
        ),
        (
            "    dsf-role: [{DELETE: [Group], CREATE: [Group]}, DELETE: [Task]]",
            vec![(Delete, Task)],
            1,
        ),
        ("    dsf-role: [READ: Task, DELETE: [1]]", vec![], 2),
        ("    dsf-role:\n      READ: [Task]", vec![], 1),
        ("    dsf-role: [' READ']", vec![], 1),
        ("    colour: blue", vec![], 1),
    ];
    for (rule, expected, warnings) in table {
        let roles = yaml(rule);
        assert_eq!(allowed(&roles, "a@example.org"), expected, "{rule}");
        assert_eq!(
            roles.warnings().len(),
            warnings,
            "{rule}: {:?}",
            roles.warnings()
        );
    }
}

#[test]
fn rights_of_all_matching_rules_add_up() {
    let roles = Roles::from_yaml(
        "- one: {email: a@example.org, dsf-role: [READ: [Group]]}\n  two: {email: [b@example.org, a@example.org], dsf-role: [READ: [Task]]}\n\
         - one: {email: a@example.org, dsf-role: [DELETE], practitioner-role: [x|Y, x|Y]}",
    )
    .unwrap();
    let granted = roles.granted(&by_email("a@example.org")).unwrap();
    assert!(granted.rights.allow(Read, Group) && granted.rights.allow(Read, Task));
    assert!(!granted.rights.allow(Read, Binary) && granted.rights.allow(Delete, Binary));
    assert_eq!(granted.practitioner_roles, [Coding::new("x", "Y")]);
    assert_eq!(allowed(&roles, "b@example.org"), [(Read, Task)]);
    assert!(
        roles.granted(&by_email("A@example.org")).is_none(),
        "compared with case"
    );
}

#[test]
fn what_is_no_thumbprint_email_or_role_is_ignored_with_a_warning() {
    let good = "ab".repeat(64);
    let text = RuleText {
        thumbprints: vec![format!(" {good} "), "AB".repeat(64), "ab".repeat(63)],
        emails: ["a+b@x.org", "a@x", "a@x.software", "@x.org", "a..b@x.org"]
            .map(str::to_owned)
            .to_vec(),
        token_roles: vec![" admin ".to_owned(), " ".to_owned()],
        practitioner_roles: ["a|B", "a", "a|b|c", "|B", "a|"]
            .map(str::to_owned)
            .to_vec(),
        ..RuleText::default()
    };
    let roles = Roles::from_texts(&[text]);
    assert_eq!(roles.warnings().len(), 2 + 4 + 4, "{:?}", roles.warnings());
    let admin = ["admin".to_owned()];
    let by_token = Claims {
        token_roles: &admin,
        ..Claims::default()
    };
    for claims in [
        by_token,
        by_email("a+b@x.org"),
        Claims {
            thumbprint: Some(&good),
            ..Claims::default()
        },
    ] {
        assert_eq!(
            roles.granted(&claims).unwrap().practitioner_roles,
            [Coding::new("a", "B")]
        );
    }
    assert!(roles.granted(&by_email("a@x.software")).is_none());
    let blank = [String::new()];
    let by_blank = Claims {
        token_roles: &blank,
        token_groups: &blank,
        ..Claims::default()
    };
    assert!(roles.granted(&by_blank).is_none());
}

#[test]
fn an_address_has_the_letters_that_the_rules_allow() {
    for (address, ok) in [
        ("a.b+c@mail-1.x.org", true),
        ("o'neil_2@x.museum", true),
        ("a b@x.org", false),
        ("ä@x.org", false),
        ("a@x_y.org", false),
        ("a@x..org", false),
        ("a@x y.org", false),
        ("a@.org", false),
        ("a@x.o1g", false),
        ("a@x.o", false),
    ] {
        let text = RuleText {
            emails: vec![address.to_owned()],
            ..RuleText::default()
        };
        let roles = Roles::from_texts(&[text]);
        assert_eq!(roles.granted(&by_email(address)).is_some(), ok, "{address}");
        assert_eq!(roles.warnings().is_empty(), ok, "{address}");
    }
}

#[test]
fn tokens_match_by_role_or_group_and_rules_are_named_that_match() {
    let roles = Roles::from_yaml(
        "- clerks: {token-role: [clerk, c.clerk]}\n- guests: {token-group: /guests}\n\
         - mail: {email: a@example.org}",
    )
    .unwrap();
    let (role, group) = (["clerk".to_owned()], ["/guests".to_owned()]);
    let (other_role, other_group) = (["guest".to_owned()], ["guests".to_owned()]);
    let by_role = |token_roles| Claims {
        token_roles,
        ..Claims::default()
    };
    let by_group = |token_groups| Claims {
        token_groups,
        ..Claims::default()
    };
    for (claims, expected) in [
        (by_role(&role), &["clerks"][..]),
        (by_group(&group), &["guests"]),
        (by_email("a@example.org"), &["mail"]),
        (by_role(&other_role), &[]),
        (by_role(&group), &[]),
        (by_group(&other_group), &[]),
        (by_group(&role), &[]),
    ] {
        assert_eq!(roles.matching(&claims), expected, "{claims:?}");
        assert_eq!(roles.granted(&claims).is_some(), !expected.is_empty());
    }
}

#[test]
fn only_broken_yaml_is_an_error() {
    for (text, warnings) in [
        ("", 0),
        ("[]", 0),
        ("# nothing", 0),
        ("~", 0),
        ("a: b", 1),
        ("- x\n- [y]\n- {z: 1}", 3),
    ] {
        let roles = Roles::from_yaml(text).unwrap();
        assert_eq!(roles.warnings().len(), warnings, "{text}");
        assert!(roles.granted(&by_email("a@example.org")).is_none());
    }
    assert!(Roles::from_yaml("- a: [").is_err());
}

#[test]
fn a_value_may_stand_alone_or_in_a_list_and_numbers_count_for_nothing() {
    let roles = yaml(&format!(
        "    practitioner-role: ['{PRACTITIONER_ROLE}|DIC_USER', 5]\n    token-role: 7"
    ));
    let granted = roles.granted(&by_email("a@example.org")).unwrap();
    assert_eq!(
        granted.practitioner_roles,
        [Coding::new(PRACTITIONER_ROLE, "DIC_USER")]
    );
    assert_eq!(roles.warnings(), &[] as &[String]);
}

//! Who may do what, cell by cell. The tables are written from auth-config §4.2, §4.3, §4.5, §4.6,
//! §4.8 and §5.1 and know nothing of the code; every cell of identity × interaction × type × state
//! is compared with what the rules decide.

use serde_json::{Value, json};

use super::content::good;
use super::process::{all, process, someone, task_of};
use super::questionnaire_response::{authorization, completed, response};
use super::task::{draft, stored};
use super::world::*;
use crate::auth::Identity;
use crate::fhir::authorize::{Operation, Outline, admit, outline};
use crate::r4::ResourceType;

/// The columns: the own organisation, an administrator, a person with every right (DIC_USER), one
/// with READ only (HRP_USER), one without rights, a partner (in role DIC of the parent, requester
/// of Tasks), a partner who has nothing to do with it.
const WHO: [&str; 7] = [
    "us", "admin", "person", "reader", "nobody", "them", "others",
];

/// §4.3, §5.1: types with read-access tags. Interaction, tags, then a column for each of [`WHO`].
const TAGGED: &str = "
    create           ALL           y y y n n n n
    create           LOCAL         y y y n n n n
    create           ORGANIZATION  y y y n n n n
    create           ROLE          y y y n n n n
    create           NONE          n n n n n n n
    create           BOTH          n n n n n n n
    read             ALL           y y y y n y y
    read             LOCAL         y y y y n n n
    read             ORGANIZATION  y y y y n y n
    read             ROLE          y y y y n y n
    read             OTHER-ROLE    y y y y n n n
    update           ALL           y y y n n n n
    update           LOCAL         y y y n n n n
    update           ORGANIZATION  y y y n n n n
    update           ROLE          y y y n n n n
    delete           ALL           y y y n n n n
    delete           ORGANIZATION  y y y n n n n
    permanent-delete ALL           y y y n n n n
    permanent-delete ROLE          y y y n n n n
    search           ALL           y y y n n y y
    search           LOCAL         y y y n n n n
    search           ORGANIZATION  y y y n n y n
    search           ROLE          y y y n n y n
    search           OTHER-ROLE    y y y n n n n
    history          ALL           y y y n n y y
    history          ORGANIZATION  y y y n n y n
    websocket        ALL           y y y n n n n
    websocket        LOCAL         y y y n n n n
    websocket        ORGANIZATION  y y y n n n n
";

/// §4.5, §5.1: Tasks. The state is the status, and whose Task it is.
const TASKS: &str = "
    create           draft                  y y n n n n n
    create           requested/own          y y y n n y y
    create           received/own           n n n n n n n
    create           in-progress/own        n n n n n n n
    create           completed/own          n n n n n n n
    create           failed/own             n n n n n n n
    read             draft                  y y y y n n n
    read             requested/them         y y n n n y n
    read             requested/others       y y n n n n y
    read             requested/us           y y n n n n n
    read             requested/person       y y y n n n n
    read             in-progress/them       y y n n n y n
    read             completed/them         y y n n n y n
    read             failed/person          y y y n n n n
    search           draft                  y y y n n n n
    search           requested/them         y y n n n y n
    search           requested/others       y y n n n n y
    search           requested/us           y y n n n n n
    search           requested/person       y y y n n n n
    search           completed/them         y y n n n y n
    history          draft                  y y y n n n n
    history          requested/others       y y n n n n y
    history          completed/them         y y n n n y n
    history          completed/person       y y y n n n n
    delete           draft                  y y n n n n n
    delete           requested/them         n n n n n n n
    delete           requested/person       n n n n n n n
    delete           in-progress/them       n n n n n n n
    delete           completed/them         n n n n n n n
    delete           failed/them            n n n n n n n
    permanent-delete draft                  y y n n n n n
    permanent-delete completed/them         n n n n n n n
    websocket        draft                  y y y n n n n
    websocket        requested/them         y y n n n n n
    websocket        requested/person       y y y n n n n
    websocket        completed/us           y y n n n n n
";

/// §4.6: the transitions that the own organisation and its administrators may make.
const TRANSITIONS: [(&str, &str); 6] = [
    ("draft", "draft"),
    ("requested", "in-progress"),
    ("requested", "failed"),
    ("in-progress", "in-progress"),
    ("in-progress", "completed"),
    ("in-progress", "failed"),
];

/// All that FHIR has.
const STATUSES: [&str; 12] = [
    "draft",
    "requested",
    "received",
    "accepted",
    "rejected",
    "ready",
    "cancelled",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
    "entered-in-error",
];

/// §4.8, §5.1: user tasks. The state is the status and whom the extension names: nobody (open),
/// the person, its role, or others. `from>to` is an update.
const USER_TASKS: &str = "
    create           in-progress/open                 y y n n n n n
    create           in-progress/person               y y n n n n n
    create           completed/open                   n n n n n n n
    create           stopped/open                     n n n n n n n
    read             in-progress/open                 y y y y n n n
    read             in-progress/person               y y y n n n n
    read             in-progress/role                 y y y n n n n
    read             in-progress/others               y y n n n n n
    read             completed/role                   y y y n n n n
    search           in-progress/open                 y y n n n n n
    search           in-progress/person               y y y n n n n
    search           in-progress/role                 y y y n n n n
    search           in-progress/others               y y n n n n n
    history          completed/open                   y y n n n n n
    history          completed/person                 y y y n n n n
    update           in-progress>completed/open       y y y n n n n
    update           in-progress>completed/person     y y y n n n n
    update           in-progress>completed/role       y y y n n n n
    update           in-progress>completed/others     y y n n n n n
    update           in-progress>in-progress/open     n n n n n n n
    update           in-progress>stopped/open         y y n n n n n
    update           in-progress>stopped/person       y y n n n n n
    update           in-progress>amended/open         n n n n n n n
    update           completed>amended/open           y y n n n n n
    update           completed>amended/person         y y n n n n n
    update           completed>completed/open         n n n n n n n
    update           completed>in-progress/open       n n n n n n n
    update           completed>stopped/open           n n n n n n n
    update           amended>completed/open           n n n n n n n
    update           amended>amended/open             n n n n n n n
    update           stopped>in-progress/open         n n n n n n n
    update           stopped>completed/open           n n n n n n n
    update           stopped>stopped/open             n n n n n n n
    delete           in-progress/open                 y y n n n n n
    delete           completed/person                 y y n n n n n
    permanent-delete stopped/role                     y y n n n n n
    websocket        completed/open                   y y y n n n n
    websocket        completed/others                 y y n n n n n
";

/// §4.2: what identity, operation and type alone decide, whatever the resource.
const ADMISSION: &str = "
    CREATE           other  y y y n n n n
    CREATE           Task   y y y n n y y
    READ             any    y y y y n y y
    UPDATE           any    y y y n n n n
    DELETE           any    y y y n n n n
    SEARCH           any    y y y n n y y
    HISTORY          any    y y y n n y y
    PERMANENT_DELETE any    y y y n n n n
    WEBSOCKET        any    y y y n n n n
";

fn identities() -> [Identity; 7] {
    [
        us(),
        person("admin", "DSF_ADMIN"),
        person("person", "DIC_USER"),
        with_rights(person("reader", "HRP_USER"), &[(Operation::Read, &[])]),
        with_rights(person("nobody", "DIC_USER"), &[]),
        remote("them"),
        remote("others"),
    ]
}

/// Compares every line of a table; answers the number of cells and those that differ.
fn compare(table: &str, holds: impl Fn(&str, &str, &Identity) -> bool) -> (usize, Vec<String>) {
    let (mut cells, mut differences) = (0, Vec::new());
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [interaction, state, expected @ ..] = words.as_slice() else {
            panic!("{line}")
        };
        assert_eq!(expected.len(), WHO.len(), "{line}");
        for ((identity, who), expected) in identities().iter().zip(WHO).zip(expected) {
            cells += 1;
            let found = holds(interaction, state, identity);
            if found != (*expected == "y") {
                differences.push(format!("{who} {interaction} {state}: {found}"));
            }
        }
    }
    (cells, differences)
}

/// One interaction with a stored resource that a search, if it is one, finds by keys.
fn asked(world: &World, interaction: &str, identity: &Identity, stored: &Value) -> bool {
    let operation = match interaction {
        "read" => Operation::Read,
        "delete" => Operation::Delete,
        "permanent-delete" => Operation::PermanentDelete,
        "websocket" => Operation::Websocket,
        "search" => return world.sees(identity, Operation::Search, stored),
        "history" => return world.sees(identity, Operation::History, stored),
        other => panic!("{other}"),
    };
    world.ask_for(operation, identity, stored).is_ok()
}

fn tags(state: &str) -> Vec<Value> {
    match state {
        "ALL" => vec![tag("ALL")],
        "LOCAL" => vec![tag("LOCAL")],
        "ORGANIZATION" => vec![tag("LOCAL"), tag_organization("them")],
        "ROLE" => vec![tag("LOCAL"), tag_role("parent", "DIC")],
        "OTHER-ROLE" => vec![tag("LOCAL"), tag_role("parent", "HRP")],
        "BOTH" => vec![tag("LOCAL"), tag("ALL")],
        "NONE" => Vec::new(),
        other => panic!("{other}"),
    }
}

#[test]
fn types_with_read_access_tags_are_as_the_table_says_in_every_cell() {
    let by_tag = ResourceType::ALL.iter().filter(|kind| {
        !matches!(
            kind,
            ResourceType::Task | ResourceType::QuestionnaireResponse
        )
    });
    let (mut cells, mut kinds) = (0, 0);
    for kind in by_tag {
        let good = good(kind.name());
        let tagged = |state: &str| put(&good, "meta", json!({"tag": tags(state)}));
        let (some, differences) = compare(TAGGED, |interaction, state, identity| {
            let resource = tagged(state);
            match interaction {
                "create" => World::new().create(identity, &resource).is_ok(),
                "update" => {
                    let world = World::with(resource.clone());
                    world.update(identity, &resource, &resource).is_ok()
                }
                other => asked(&World::with(resource.clone()), other, identity, &resource),
            }
        });
        assert_eq!(differences, Vec::<String>::new(), "{kind}");
        cells += some;
        kinds += 1;
    }
    assert_eq!((kinds, cells), (24, 24 * 29 * 7));
}

fn processes() -> World {
    let by_role = json!({
        "system": format!("{DSF}/CodeSystem/process-authorization"),
        "code": "LOCAL_ALL_PRACTITIONER",
        "extension": [{
            "url": format!("{DSF}/StructureDefinition/extension-process-authorization-practitioner"),
            "valueCoding": {"system": format!("{DSF}/CodeSystem/practitioner-role"), "code": "DIC_USER"},
        }],
    });
    let requesters = [all("LOCAL_ALL"), all("REMOTE_ALL"), by_role];
    World::with(process(&requesters, &[all("LOCAL_ALL")]))
}

/// A Task in a state, as its requester would send it.
fn task_in(state: &str, identity: &Identity) -> Value {
    let (status, whose) = state.split_once('/').unwrap_or((state, "us"));
    let requester = match whose {
        "own" => someone(identity),
        "person" => practitioner("person"),
        organisation => organization(organisation),
    };
    let task = match status {
        "draft" => draft(),
        _ => task_of(requester),
    };
    put(&task, "status", json!(status))
}

#[test]
fn tasks_are_as_the_table_says_in_every_cell() {
    let (cells, differences) = compare(TASKS, |interaction, state, identity| {
        let task = task_in(state, identity);
        match interaction {
            "create" => processes().create(identity, &task).is_ok(),
            other => asked(&processes(), other, identity, &stored(&task)),
        }
    });
    assert_eq!((cells, differences), (36 * 7, Vec::new()));
}

#[test]
fn transitions_of_tasks_are_as_the_list_says_in_every_cell() {
    for old in STATUSES {
        for new in STATUSES {
            let base = if old == "draft" {
                draft()
            } else {
                task_of(organization("us"))
            };
            let before = stored(&put(&base, "status", json!(old)));
            let after = put(&base, "status", json!(new));
            for (identity, who) in identities().iter().zip(WHO) {
                let expected = matches!(who, "us" | "admin") && TRANSITIONS.contains(&(old, new));
                let found = processes().update(identity, &before, &after).is_ok();
                assert_eq!(found, expected, "{who}: {old} → {new}");
            }
        }
    }
}

/// A user task in a state, and what it is to become.
fn user_task_in(state: &str, identity: &Identity) -> (Value, Value) {
    let (statuses, whom) = state.split_once('/').unwrap();
    let (old, new) = statuses.split_once('>').unwrap_or((statuses, statuses));
    let extension = match whom {
        "open" => Value::Null,
        "person" => authorization(&["person"], &[]),
        "role" => authorization(&[], &["DIC_USER"]),
        _ => authorization(&["somebody"], &["UAC_USER"]),
    };
    let before = put(
        &put(&response(), "extension", extension),
        "status",
        json!(old),
    );
    let after = match (old, new) {
        ("in-progress", "completed") => completed(&before, someone(identity)),
        _ => put(&before, "status", json!(new)),
    };
    (before, after)
}

#[test]
fn user_tasks_are_as_the_table_says_in_every_cell() {
    let (cells, differences) = compare(USER_TASKS, |interaction, state, identity| {
        let (before, after) = user_task_in(state, identity);
        match interaction {
            "create" => World::new().create(identity, &before).is_ok(),
            "update" => World::new().update(identity, &before, &after).is_ok(),
            other => asked(&World::new(), other, identity, &before),
        }
    });
    assert_eq!((cells, differences), (38 * 7, Vec::new()));
}

#[test]
fn what_needs_no_resource_is_as_the_table_says_for_every_type() {
    for kind in ResourceType::ALL {
        let is_task = *kind == ResourceType::Task;
        let meant = |line: &&str| match line.split_whitespace().nth(1) {
            Some("Task") => is_task,
            Some("other") => !is_task,
            _ => true,
        };
        let table: Vec<&str> = ADMISSION.lines().filter(meant).collect();
        let (cells, differences) = compare(&table.join("\n"), |operation, _, identity| {
            admit(identity, Operation::from_name(operation).unwrap(), *kind).is_allowed()
        });
        assert_eq!((cells, differences), (8 * 7, Vec::new()), "{kind}");
    }
}

/// `dsf auth matrix` says "never" of exactly what no line of the tables allows.
#[test]
fn the_printed_matrix_agrees_with_the_tables() {
    let operation = |interaction: &str| {
        let name = interaction.to_uppercase().replace('-', "_");
        Operation::from_name(&name).unwrap()
    };
    for (table, kind) in [
        (TAGGED, ResourceType::Group),
        (TASKS, ResourceType::Task),
        (USER_TASKS, ResourceType::QuestionnaireResponse),
    ] {
        for (column, identity) in identities().iter().enumerate() {
            for asked in Operation::ALL {
                let lines = table
                    .lines()
                    .map(|line| line.split_whitespace().collect::<Vec<_>>());
                let mut of_operation =
                    lines.filter(|words| !words.is_empty() && operation(words[0]) == asked);
                let transitions = kind == ResourceType::Task && asked == Operation::Update;
                let ever = if transitions {
                    column < 2
                } else {
                    of_operation.any(|words| words[2 + column] == "y")
                };
                let printed = outline(identity, asked, kind) != Outline::No;
                assert_eq!(printed, ever, "{} {asked:?} {kind}", WHO[column]);
            }
        }
    }
}

//! `dsf auth matrix`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::Node;
use crate::auth::{Credential, HumanName, Identity, Member, Operation, Person, Rights, Subject};
use crate::command::table::Table;
use crate::fhir::authorize::{Outline, outline};
use crate::r4::ResourceType;

pub(super) const COLUMNS: [&str; 10] = [
    "who",
    "types",
    "create",
    "read",
    "update",
    "delete",
    "search",
    "history",
    "permanent-delete",
    "websocket",
];
/// The operations in the order of the columns.
const OPERATIONS: [Operation; 8] = Operation::ALL;

pub(super) fn run(node: &Node, who: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let all = identities(node);
    let wanted = all
        .iter()
        .filter(|(name, _)| who.is_none_or(|who| who == name));
    let wanted: Vec<&(String, Identity)> = wanted.collect();
    anyhow::ensure!(
        !wanted.is_empty(),
        "nobody has this name; without --who all are printed"
    );
    if json {
        let rows: Vec<Value> = wanted
            .iter()
            .flat_map(|(name, who)| of_json(name, who))
            .collect();
        println!("{:#}", Value::Array(rows));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&COLUMNS);
    for (name, identity) in wanted {
        for (kinds, cells) in groups(identity) {
            table.row([name.clone(), kinds].into_iter().chain(words(&cells)));
        }
    }
    table.print(false)?;
    println!();
    for one in Outline::ALL {
        println!("{:16} {}", one.word(), one.sentence());
    }
    Ok(ExitCode::SUCCESS)
}

/// Everybody that this node knows: the organisations that may come, and a person of each rule.
fn identities(node: &Node) -> Vec<(String, Identity)> {
    let own = &node.settings.organization;
    let mut known = Vec::new();
    let local = node.directory.local(own);
    if let Some(local) = &local {
        let rights = Rights::of_local_organization();
        let subject = Subject::LocalOrganization;
        known.push((own.clone(), identity(subject, local.clone(), rights)));
    }
    let mut partners: Vec<&str> = node
        .directory
        .organizations()
        .filter(|partner| partner.active && !partner.thumbprints.is_empty())
        .filter_map(|partner| partner.identifier.as_deref())
        .filter(|identifier| identifier != own)
        .collect();
    partners.sort_unstable();
    for partner in partners {
        let rights = Rights::of_remote_organization();
        let subject = Subject::RemoteOrganization;
        known.push((
            partner.to_owned(),
            identity(subject, member(partner), rights),
        ));
    }
    for (name, granted) in node.config.roles.rules() {
        let person = Person {
            identifier: name.to_owned(),
            name: HumanName::default(),
            roles: granted.practitioner_roles.clone(),
        };
        let organization = local.clone().unwrap_or_else(|| member(own));
        let subject = Subject::Practitioner(person);
        known.push((
            name.to_owned(),
            identity(subject, organization, granted.rights),
        ));
    }
    known
}

fn member(identifier: &str) -> Member {
    Member {
        identifier: identifier.to_owned(),
        id: None,
        endpoint: None,
    }
}

fn identity(subject: Subject, organization: Member, rights: Rights) -> Identity {
    Identity {
        subject,
        organization,
        rights,
        credential: Credential::Internal,
    }
}

type Cells = [Outline; 8];

pub(super) fn cells(identity: &Identity, kind: ResourceType) -> Cells {
    OPERATIONS.map(|operation| outline(identity, operation, kind))
}

fn words(cells: &Cells) -> impl Iterator<Item = String> {
    cells.map(|cell| cell.word().to_owned()).into_iter()
}

/// Types with the same cells go together; the largest group is what is left.
pub(super) fn groups(identity: &Identity) -> Vec<(String, Cells)> {
    let mut groups: Vec<(Vec<ResourceType>, Cells)> = Vec::new();
    for kind in ResourceType::ALL {
        let cells = cells(identity, *kind);
        match groups.iter_mut().find(|(_, known)| *known == cells) {
            Some((kinds, _)) => kinds.push(*kind),
            None => groups.push((vec![*kind], cells)),
        }
    }
    groups.sort_by_key(|(kinds, _)| kinds.len());
    let count = groups.len();
    let named = |(index, (kinds, cells)): (usize, (Vec<ResourceType>, Cells))| {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let name = match (index + 1 == count, count) {
            (true, 1) => "all types".to_owned(),
            (true, _) if names.len() > 4 => "all others".to_owned(),
            _ => names.join(", "),
        };
        (name, cells)
    };
    groups.into_iter().enumerate().map(named).collect()
}

fn of_json(name: &str, identity: &Identity) -> Vec<Value> {
    let row = |kind: &ResourceType| {
        let cells = cells(identity, *kind);
        let cells = OPERATIONS.iter().zip(cells);
        let cells: Map<String, Value> = cells
            .map(|(operation, cell)| (operation.name().to_owned(), json!(cell.word())))
            .collect();
        json!({"who": name, "type": kind.name(), "may": cells})
    };
    ResourceType::ALL.iter().map(row).collect()
}

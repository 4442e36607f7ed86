//! What a search asks for, as data: evaluated in SQL here, in memory by `fhir::subscribe`.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::lookup::Asked;
use crate::r4::ResourceType;

/// What a resource is found by; stored in its row (`tokens`, `terms`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexTerms {
    /// Terms that are compared as a whole.
    pub tokens: Vec<String>,
    /// For each parameter its values in the order of the document: texts, or for a date the first
    /// and the last microsecond it covers.
    pub values: Map<String, Value>,
}

/// A condition on one current resource. Parameter names are those of the registry, never a client's.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    /// Has at least one of these tokens.
    Token(Vec<String>),
    /// Has all of these tokens.
    Words(Vec<String>),
    /// The first value of the parameter begins with this; for parameters that have one value.
    Prefix(&'static str, String),
    /// At least one value of the parameter passes the test.
    Value(&'static str, Test),
    Moment(Moment),
    Id(Uuid),
    Target(Target),
    /// Met by no resource.
    Nothing,
}

impl Condition {
    /// Met by every resource.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::is_empty),
            _ => false,
        }
    }

    /// The same with what must all be there in one place: an index finds it in one go.
    pub(super) fn merged(self) -> Self {
        let parts = match self {
            Self::All(parts) => parts,
            Self::Any(parts) => return Self::any(parts),
            other => return other,
        };
        let (mut words, mut others) = (Vec::new(), Vec::new());
        for part in parts {
            match part.merged() {
                Self::Token(mut tokens) if tokens.len() == 1 => words.append(&mut tokens),
                Self::Words(mut tokens) => words.append(&mut tokens),
                Self::All(parts) => others.extend(parts),
                other => others.push(other),
            }
        }
        if !words.is_empty() {
            others.insert(0, Self::Words(words));
        }
        Self::All(others)
    }

    /// Of several tokens one is enough, which an index finds in one go, too.
    fn any(parts: Vec<Self>) -> Self {
        let mut tokens = Vec::new();
        for part in &parts {
            match part {
                Self::Token(more) => tokens.extend_from_slice(more),
                _ => return Self::Any(parts),
            }
        }
        Self::Token(tokens)
    }

    /// Whether it asks for ranges, which have indexes of single types.
    pub(super) fn has_ranges(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_ranges),
            Self::Prefix(..) => true,
            Self::Moment(moment) => matches!(moment.field, Field::Date(_)),
            _ => false,
        }
    }

    /// Tokens that every match has.
    pub fn terms(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::All(parts) => Box::new(parts.iter().flat_map(Self::terms)),
            Self::Words(tokens) => Box::new(tokens.iter().map(String::as_str)),
            Self::Token(tokens) if tokens.len() == 1 => Box::new(tokens.iter().map(String::as_str)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether it is clear without looking that nothing meets it.
    pub fn is_hopeless(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().any(Self::is_hopeless),
            Self::Any(parts) => parts.iter().all(Self::is_hopeless),
            Self::Token(tokens) => tokens.is_empty(),
            Self::Nothing => true,
            _ => false,
        }
    }

    /// All that it asks for, if that is tokens which a resource must have.
    pub fn words(&self) -> Option<&[String]> {
        match self {
            Self::All(parts) => match parts.as_slice() {
                [Self::Words(tokens)] => Some(tokens),
                _ => None,
            },
            _ => None,
        }
    }

    /// Lists of tokens, of which every match has one list whole.
    pub(super) fn narrowed(&self) -> Vec<Vec<String>> {
        let terms: Vec<String> = self.terms().map(str::to_owned).collect();
        if !terms.is_empty() {
            return vec![terms];
        }
        let single = |tokens: &[String]| tokens.iter().map(|one| vec![one.clone()]).collect();
        match self {
            Self::Token(tokens) => single(tokens),
            Self::All(parts) => parts
                .iter()
                .find_map(|part| match part {
                    Self::Token(tokens) => Some(single(tokens)),
                    _ => None,
                })
                .unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// What must be looked up before the condition is SQL, or can be tried.
    pub fn asked(&self) -> Vec<Asked> {
        self.targets().into_iter().flat_map(Target::asked).collect()
    }

    /// The same once it is known what [`Self::asked`] finds.
    pub fn settled(&self, found: &[Vec<Uuid>]) -> Self {
        let mut found = found.iter();
        let targets = self.targets();
        let mut tokens = targets.into_iter().map(|target| target.met(&mut found));
        self.replaced(&mut tokens).merged()
    }

    fn targets(&self) -> Vec<&Target> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::targets).collect(),
            Self::Target(target) => vec![target],
            _ => Vec::new(),
        }
    }

    /// With the tokens that each target came to, in the order of [`Self::targets`].
    fn replaced(&self, found: &mut impl Iterator<Item = Vec<String>>) -> Self {
        match self {
            Self::All(parts) => Self::All(parts.iter().map(|part| part.replaced(found)).collect()),
            Self::Any(parts) => Self::Any(parts.iter().map(|part| part.replaced(found)).collect()),
            Self::Target(_) => Self::Token(found.next().unwrap_or_default()),
            other => other.clone(),
        }
    }
}

/// A test of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    Equals(String),
    StartsWith(String),
    Contains(String),
    /// What follows the first pipe: the code of a token, whatever its system.
    Code(String),
    Not(Box<Test>),
}

/// Compares a point in time, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub field: Field,
    pub edge: Edge,
    pub compare: Compare,
    pub at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    LastUpdated,
    Date(&'static str),
}

/// Which end of the time that a date covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    First,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The resource has a token `<prefix><Type>/<id>` of a current resource that has one of `tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub prefix: String,
    pub kinds: Vec<ResourceType>,
    pub tokens: Vec<String>,
}

impl Target {
    /// A token begins with the type that has it.
    fn asked(&self) -> impl Iterator<Item = Asked> {
        self.kinds.iter().flat_map(|kind| {
            let beginning = format!("{kind}:");
            let own = self
                .tokens
                .iter()
                .filter(move |t| t.starts_with(&beginning));
            own.map(move |token| Asked {
                kind: *kind,
                tokens: vec![token.clone()],
            })
        })
    }

    /// The tokens of what refers to the found ones.
    fn met<'a>(&self, found: &mut impl Iterator<Item = &'a Vec<Uuid>>) -> Vec<String> {
        let token = |kind: ResourceType, id: &Uuid| format!("{}{kind}/{id}", self.prefix);
        self.asked()
            .filter_map(|asked| Some((asked.kind, found.next()?)))
            .flat_map(|(kind, ids)| ids.iter().map(move |id| token(kind, id)))
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    Id,
    LastUpdated,
    Date(&'static str),
    /// The first value of the parameter.
    Value(&'static str),
}

impl SortKey {
    /// Whether every resource has it, whatever its type.
    pub(super) fn is_common(self) -> bool {
        matches!(self, Self::Id | Self::LastUpdated)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub key: SortKey,
    pub descending: bool,
}

/// Which rows the caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// For the server's own questions: uniqueness, references, conditional writes.
    Everything,
    Nothing,
    /// Rows whose `access` shares a key with these.
    Keys(Vec<String>),
    /// As `Keys`, and rows whose security context is a current row that `Keys` would show.
    KeysOrContext(Vec<String>),
}

impl Visible {
    /// The keys that the caller presents.
    pub(super) fn keys(&self) -> &[String] {
        match self {
            Self::Keys(keys) | Self::KeysOrContext(keys) => keys,
            Self::Everything | Self::Nothing => &[],
        }
    }
}

/// One page of one search.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    pub kind: ResourceType,
    pub condition: Condition,
    pub visible: Visible,
    /// Empty: by last update, then id.
    pub order: Vec<Order>,
    pub limit: i64,
    pub offset: i64,
}

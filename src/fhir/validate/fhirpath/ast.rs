//! The tree of an expression.

use crate::fhir::validate::pattern::Pattern;

/// A parsed expression.
#[derive(Clone, Debug)]
pub enum Expression {
    Empty,
    Bool(bool),
    Integer(i64),
    Decimal(f64),
    Text(Box<str>),
    This,
    /// The position in the collection that a function runs over.
    Index,
    Variable(Variable),
    /// A child by name; without a target of the focus.
    Member(Option<Box<Self>>, Box<str>),
    Call(Option<Box<Self>>, Function, Vec<Self>),
    /// `matches` with a pattern that is known.
    Matches(Option<Box<Self>>, Pattern),
    /// `replaceMatches` with a pattern that is known.
    Replaces(Option<Box<Self>>, Pattern, Box<Self>),
    Item(Box<Self>, Box<Self>),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Is(Box<Self>, Box<str>),
    As(Box<Self>, Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    Context,
    Resource,
    RootResource,
    Ucum,
    Sct,
    Loinc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Equivalent,
    NotEquivalent,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
    Xor,
    Implies,
    In,
    Contains,
    Union,
    Join,
    Add,
    Subtract,
    Multiply,
    Divide,
    Div,
    Mod,
}

/// Declares the functions with their names and numbers of arguments.
macro_rules! functions {
    ($($variant:ident = $name:literal $least:literal..=$most:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function { $($variant),+ }

        impl Function {
            pub fn of_name(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
                match name { $($name => Some((Self::$variant, $least..=$most)),)+ _ => None }
            }
        }
    };
}

functions! {
    Exists = "exists" 0..=1,
    Empty = "empty" 0..=0,
    Not = "not" 0..=0,
    All = "all" 1..=1,
    AllTrue = "allTrue" 0..=0,
    AnyTrue = "anyTrue" 0..=0,
    AllFalse = "allFalse" 0..=0,
    AnyFalse = "anyFalse" 0..=0,
    Where = "where" 1..=1,
    Select = "select" 1..=1,
    First = "first" 0..=0,
    Last = "last" 0..=0,
    Tail = "tail" 0..=0,
    Skip = "skip" 1..=1,
    Take = "take" 1..=1,
    Single = "single" 0..=0,
    Count = "count" 0..=0,
    Distinct = "distinct" 0..=0,
    IsDistinct = "isDistinct" 0..=0,
    SubsetOf = "subsetOf" 1..=1,
    SupersetOf = "supersetOf" 1..=1,
    Intersect = "intersect" 1..=1,
    Exclude = "exclude" 1..=1,
    Union = "union" 1..=1,
    Combine = "combine" 1..=1,
    Matches = "matches" 1..=1,
    StartsWith = "startsWith" 1..=1,
    EndsWith = "endsWith" 1..=1,
    Contains = "contains" 1..=1,
    IndexOf = "indexOf" 1..=1,
    Substring = "substring" 1..=2,
    Replace = "replace" 2..=2,
    ReplaceMatches = "replaceMatches" 2..=2,
    Upper = "upper" 0..=0,
    Lower = "lower" 0..=0,
    Trim = "trim" 0..=0,
    Length = "length" 0..=0,
    Split = "split" 1..=1,
    Join = "join" 0..=1,
    ToInteger = "toInteger" 0..=0,
    ToDecimal = "toDecimal" 0..=0,
    ToText = "toString" 0..=0,
    ToBoolean = "toBoolean" 0..=0,
    Iif = "iif" 2..=3,
    Trace = "trace" 1..=2,
    HasValue = "hasValue" 0..=0,
    Value = "getValue" 0..=0,
    Children = "children" 0..=0,
    Descendants = "descendants" 0..=0,
    Extension = "extension" 1..=1,
    OfType = "ofType" 1..=1,
    As = "as" 1..=1,
    Is = "is" 1..=1,
    Resolve = "resolve" 0..=0,
    HtmlChecks = "htmlChecks" 0..=0,
}

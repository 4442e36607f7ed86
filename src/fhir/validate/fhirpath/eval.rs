//! Evaluates an expression.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;

use super::ast::{Expression, Operator, Variable};
use super::compare::{equal, equivalent, order};
use super::function::{call, distinct};
use super::item::{Item, Plain};
use crate::fhir::validate::pattern::Pattern;
use crate::fhir::validate::spot::Spot;

/// Longest text that an expression may make, in bytes, and all that it makes for one element.
const LONGEST_TEXT: usize = 1 << 20;
const MOST_TEXT: usize = 64 << 20;
/// Most items at once.
const MOST_ITEMS: usize = 1 << 21;

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Failed(String),
    /// It can be neither confirmed nor denied here.
    Undecided(String),
}

pub type Items<'a> = Vec<Item<'a>>;
pub type Outcome<'a> = Result<Items<'a>, Fault>;

/// How much work a resource is worth: whoever works on it takes from it.
#[derive(Debug)]
pub struct Budget {
    given: u64,
    left: Cell<u64>,
}

impl Budget {
    #[must_use]
    pub fn of(steps: u64) -> Self {
        Self {
            given: steps,
            left: Cell::new(steps),
        }
    }

    /// Whether there was enough left.
    pub fn spend(&self, steps: u64) -> bool {
        let left = self.left.get().checked_sub(steps);
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }

    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }
}

/// What the variables of an expression mean, and what its evaluation may take.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    pub budget: &'a Budget,
    /// The resource that the element is in.
    pub resource: Spot<'a>,
    /// The outermost resource.
    pub root: Spot<'a>,
}

/// Whether a constraint holds for an element: an empty result means no.
pub fn holds(
    expression: &Expression,
    focus: Spot<'_>,
    surroundings: Surroundings<'_>,
) -> Result<bool, Fault> {
    let evaluation = Evaluation {
        surroundings,
        context: focus,
        made: Cell::new(0),
    };
    let scope = Scope {
        this: &Item::Element(focus),
        index: 0,
    };
    let result = evaluation.run(expression, scope)?;
    Ok(match result.as_slice() {
        [] => false,
        [only] => match only.plain() {
            Some(Plain::Bool(value)) => value,
            _ => true,
        },
        _ => true,
    })
}

pub struct Evaluation<'a> {
    surroundings: Surroundings<'a>,
    context: Spot<'a>,
    /// The bytes of all texts that were made.
    made: Cell<usize>,
}

/// What `$this` and `$index` are.
#[derive(Clone, Copy)]
pub struct Scope<'s, 'a> {
    pub this: &'s Item<'a>,
    pub index: usize,
}

impl<'a> Evaluation<'a> {
    /// Counts work; fails beyond the budget.
    pub fn spend(&self, steps: usize) -> Result<(), Fault> {
        let steps = u64::try_from(steps.max(1)).unwrap_or(u64::MAX);
        let budget = self.surroundings.budget;
        if !budget.spend(steps) {
            let given = budget.given();
            return Err(Fault::Failed(format!("it takes more than {given} steps")));
        }
        Ok(())
    }

    /// Counts the work of comparing each of these with so many others.
    pub fn compare(&self, items: &[Item<'a>], others: usize) -> Result<(), Fault> {
        let sizes = items.iter().map(Item::size);
        let all = sizes.fold(0, usize::saturating_add);
        self.spend(all.saturating_mul(others.max(1)))
    }

    /// Fails where there are too many items to hold.
    pub fn may_hold(&self, items: usize) -> Result<(), Fault> {
        if items > MOST_ITEMS {
            return Err(Fault::Failed(format!("more than {MOST_ITEMS} values")));
        }
        Ok(())
    }

    pub fn run(&self, expression: &Expression, scope: Scope<'_, 'a>) -> Outcome<'a> {
        self.spend(1)?;
        Ok(match expression {
            Expression::Empty => Vec::new(),
            Expression::Bool(value) => vec![Item::Bool(*value)],
            Expression::Integer(value) => vec![Item::Integer(*value)],
            Expression::Decimal(value) => vec![Item::Decimal(*value)],
            Expression::Text(text) => return self.text(text.to_string()),
            Expression::This => {
                if let Item::Text(text) = scope.this {
                    self.room(text.len())?;
                }
                vec![scope.this.clone()]
            }
            Expression::Index => vec![Item::Integer(
                i64::try_from(scope.index).unwrap_or(i64::MAX),
            )],
            Expression::Variable(variable) => vec![self.variable(*variable)],
            Expression::Member(target, name) => return self.member(target.as_deref(), name, scope),
            Expression::Call(target, function, arguments) => {
                let input = self.target(target.as_deref(), scope)?;
                return call(self, *function, input, arguments, scope);
            }
            Expression::Matches(target, pattern) => {
                let input = self.target(target.as_deref(), scope)?;
                return match only(input)?.and_then(|item| item.text()) {
                    Some(text) => self.matches(&text, pattern),
                    None => Ok(Vec::new()),
                };
            }
            Expression::Replaces(target, pattern, with) => {
                let input = self.target(target.as_deref(), scope)?;
                let Some(text) = only(input)?.and_then(|item| item.text()) else {
                    return Ok(Vec::new());
                };
                let with = only(self.run(with, scope)?)?.and_then(|item| item.text());
                return self.replaced(&text, pattern, with.as_deref());
            }
            Expression::Item(target, index) => {
                let index = integer(self.run(index, scope)?);
                let items = self.run(target, scope)?;
                let index = index.and_then(|index| usize::try_from(index).ok());
                index
                    .and_then(|index| items.into_iter().nth(index))
                    .into_iter()
                    .collect()
            }
            Expression::Negative(target) => match only(self.run(target, scope)?)? {
                Some(Item::Integer(value)) => {
                    value.checked_neg().map(Item::Integer).into_iter().collect()
                }
                Some(Item::Decimal(value)) => vec![Item::Decimal(-value)],
                _ => Vec::new(),
            },
            Expression::Binary(operator, left, right) => {
                return self.binary(*operator, left, right, scope);
            }
            Expression::Is(target, type_name) => {
                let item = only(self.run(target, scope)?)?;
                item.map(|item| Item::Bool(item.is_of(type_name)))
                    .into_iter()
                    .collect()
            }
            Expression::As(target, type_name) => {
                let mut items = self.run(target, scope)?;
                items.retain(|item| item.is_of(type_name));
                items
            }
        })
    }

    pub fn matches(&self, text: &str, pattern: &Pattern) -> Outcome<'a> {
        self.spend(pattern.cost(text))?;
        Ok(vec![Item::Bool(pattern.regex.is_match(text))])
    }

    pub fn replaced(&self, text: &str, pattern: &Pattern, with: Option<&str>) -> Outcome<'a> {
        let Some(with) = with else {
            return Ok(Vec::new());
        };
        self.spend(pattern.cost(text))?;
        self.room_to_replace(text, with)?;
        self.text(pattern.regex.replace_all(text, with).into_owned())
    }

    /// A text could be put between all letters, and at both ends.
    pub fn room_to_replace(&self, text: &str, with: &str) -> Result<(), Fault> {
        let most = (text.len() + 1).saturating_mul(with.len() + 1);
        self.spend(most / 64)?;
        if most > LONGEST_TEXT {
            return Err(too_long());
        }
        Ok(())
    }

    fn target(&self, target: Option<&Expression>, scope: Scope<'_, 'a>) -> Outcome<'a> {
        match target {
            Some(target) => self.run(target, scope),
            None => Ok(vec![scope.this.clone()]),
        }
    }

    fn variable(&self, variable: Variable) -> Item<'a> {
        match variable {
            Variable::Context => Item::Element(self.context),
            Variable::Resource => Item::Element(self.surroundings.resource),
            Variable::RootResource => Item::Element(self.surroundings.root),
            Variable::Ucum => Item::Text("http://unitsofmeasure.org".into()),
            Variable::Sct => Item::Text("http://snomed.info/sct".into()),
            Variable::Loinc => Item::Text("http://loinc.org".into()),
        }
    }

    fn member(&self, target: Option<&Expression>, name: &str, scope: Scope<'_, 'a>) -> Outcome<'a> {
        let input = self.target(target, scope)?;
        self.spend(input.len())?;
        // An expression may begin with the type it is about.
        if target.is_none()
            && name.starts_with(|first: char| first.is_ascii_uppercase())
            && input.iter().all(|item| item.is_of(name))
        {
            return Ok(input);
        }
        let mut found = Vec::new();
        for item in &input {
            match item {
                // The value of a primitive is its system value.
                Item::Element(spot) if name == "value" && spot.primitive().is_some() => {
                    return Ok(plain_item(item).into_iter().collect());
                }
                Item::Element(spot) => spot.named(name, &mut found),
                _ => {}
            }
            self.may_hold(found.len())?;
        }
        self.spend(found.len())?;
        Ok(found.into_iter().map(Item::Element).collect())
    }

    /// A condition on the items of an expression: empty is neither true nor false.
    pub fn truth(
        &self,
        expression: &Expression,
        scope: Scope<'_, 'a>,
    ) -> Result<Option<bool>, Fault> {
        truth(self.run(expression, scope)?)
    }

    fn binary(
        &self,
        operator: Operator,
        left: &Expression,
        right: &Expression,
        scope: Scope<'_, 'a>,
    ) -> Outcome<'a> {
        if let Some(result) = self.logic(operator, left, right, scope)? {
            return Ok(result.into_iter().map(Item::Bool).collect());
        }
        let (left, right) = (self.run(left, scope)?, self.run(right, scope)?);
        self.compare(&left, right.len())?;
        let answer = |answer: Option<bool>| Ok(answer.map(Item::Bool).into_iter().collect());
        match operator {
            Operator::Equal => answer(all_equal(&left, &right)),
            Operator::NotEqual => answer(all_equal(&left, &right).map(|equal| !equal)),
            Operator::Equivalent => answer(Some(all_equivalent(&left, &right))),
            Operator::NotEquivalent => answer(Some(!all_equivalent(&left, &right))),
            Operator::In => answer(is_in(left, &right)?),
            Operator::Contains => answer(is_in(right, &left)?),
            Operator::Union => {
                let all: Items<'a> = left.into_iter().chain(right).collect();
                distinct(self, &all)
            }
            Operator::Join => {
                let text = |items: Items<'a>| -> Result<String, Fault> {
                    let item = only(items)?;
                    Ok(item
                        .and_then(|item| item.written().map(Cow::into_owned))
                        .unwrap_or_default())
                };
                self.joined(&text(left)?, &text(right)?)
            }
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                let (Some(left), Some(right)) = (only(left)?, only(right)?) else {
                    return Ok(Vec::new());
                };
                answer(order(&left, &right)?.map(|order| ordered(operator, order)))
            }
            _ => self.arithmetic(operator, left, right),
        }
    }

    /// The operators that know what an empty side means; `None` for all others.
    fn logic(
        &self,
        operator: Operator,
        left: &Expression,
        right: &Expression,
        scope: Scope<'_, 'a>,
    ) -> Result<Option<Option<bool>>, Fault> {
        if !matches!(
            operator,
            Operator::And | Operator::Or | Operator::Xor | Operator::Implies
        ) {
            return Ok(None);
        }
        let first = self.truth(left, scope)?;
        match (operator, first) {
            (Operator::And, Some(false)) => return Ok(Some(Some(false))),
            (Operator::Or, Some(true)) | (Operator::Implies, Some(false)) => {
                return Ok(Some(Some(true)));
            }
            _ => {}
        }
        let second = self.truth(right, scope)?;
        Ok(Some(match (operator, first, second) {
            (Operator::And, _, Some(false)) => Some(false),
            (Operator::And, Some(true), Some(true)) => Some(true),
            (Operator::Or | Operator::Implies, _, Some(true)) => Some(true),
            (Operator::Or, Some(false), Some(false)) => Some(false),
            (Operator::Implies, Some(true), Some(false)) => Some(false),
            (Operator::Xor, Some(left), Some(right)) => Some(left != right),
            _ => None,
        }))
    }

    fn joined(&self, left: &str, right: &str) -> Outcome<'a> {
        if left.len() + right.len() > LONGEST_TEXT {
            return Err(too_long());
        }
        self.text(format!("{left}{right}"))
    }

    /// A text that was made.
    pub fn text(&self, text: String) -> Outcome<'a> {
        self.room(text.len())?;
        Ok(vec![Item::Text(Cow::Owned(text))])
    }

    /// Fails where there is no room for a text of this length; counts the work.
    pub fn room(&self, bytes: usize) -> Result<(), Fault> {
        self.spend(bytes / 64)?;
        self.made.set(self.made.get().saturating_add(bytes));
        if bytes > LONGEST_TEXT || self.made.get() > MOST_TEXT {
            return Err(too_long());
        }
        Ok(())
    }

    fn arithmetic(&self, operator: Operator, left: Items<'a>, right: Items<'a>) -> Outcome<'a> {
        let (Some(left), Some(right)) = (only(left)?, only(right)?) else {
            return Ok(Vec::new());
        };
        let result = match (left.plain(), right.plain()) {
            (Some(Plain::Integer(left)), Some(Plain::Integer(right))) => match operator {
                Operator::Add => left.checked_add(right).map(Item::Integer),
                Operator::Subtract => left.checked_sub(right).map(Item::Integer),
                Operator::Multiply => left.checked_mul(right).map(Item::Integer),
                Operator::Div => left.checked_div(right).map(Item::Integer),
                Operator::Mod => left.checked_rem(right).map(Item::Integer),
                _ => decimal(operator, number(left), number(right)),
            },
            (Some(Plain::Text(left)), Some(Plain::Text(right))) if operator == Operator::Add => {
                return self.joined(&left, &right);
            }
            (Some(left), Some(right)) => match (float(&left), float(&right)) {
                (Some(left), Some(right)) => decimal(operator, left, right),
                _ => {
                    return Err(Fault::Failed(
                        "arithmetic with values that are no numbers".to_owned(),
                    ));
                }
            },
            _ => return Err(Fault::Failed("arithmetic with elements".to_owned())),
        };
        Ok(result.into_iter().collect())
    }
}

fn too_long() -> Fault {
    Fault::Failed("it makes texts that are too long to hold".to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "FHIR integers have 32 bits")]
fn number(value: i64) -> f64 {
    value as f64
}

fn float(plain: &Plain<'_>) -> Option<f64> {
    match plain {
        Plain::Integer(value) => Some(number(*value)),
        Plain::Decimal(value) => Some(*value),
        _ => None,
    }
}

fn decimal<'a>(operator: Operator, left: f64, right: f64) -> Option<Item<'a>> {
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Div => (left / right).trunc(),
        Operator::Mod => left % right,
        _ => left / right,
    };
    result.is_finite().then_some(Item::Decimal(result))
}

fn ordered(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// The system value as an item of its own.
pub fn plain_item<'a>(item: &Item<'a>) -> Option<Item<'a>> {
    Some(match item.plain()? {
        Plain::Bool(value) => Item::Bool(value),
        Plain::Integer(value) => Item::Integer(value),
        Plain::Decimal(value) => Item::Decimal(value),
        Plain::Text(text) | Plain::Moment(text) => Item::Text(text),
    })
}

/// The only item, if there is any.
pub fn only<'a>(items: Items<'a>) -> Result<Option<Item<'a>>, Fault> {
    if items.len() > 1 {
        return Err(Fault::Failed(format!(
            "{} values where one was expected",
            items.len()
        )));
    }
    Ok(items.into_iter().next())
}

pub fn integer(items: Items<'_>) -> Option<i64> {
    match items.as_slice() {
        [only] => match only.plain()? {
            Plain::Integer(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// What a collection is as a condition: a single value that is no boolean counts as true.
pub fn truth(items: Items<'_>) -> Result<Option<bool>, Fault> {
    Ok(only(items)?.map(|item| match item.plain() {
        Some(Plain::Bool(value)) => value,
        _ => true,
    }))
}

fn all_equal(left: &[Item<'_>], right: &[Item<'_>]) -> Option<bool> {
    if left.is_empty() || right.is_empty() {
        return None;
    }
    if left.len() != right.len() {
        return Some(false);
    }
    left.iter()
        .zip(right)
        .try_fold(true, |all, (left, right)| Some(all && equal(left, right)?))
}

fn all_equivalent(left: &[Item<'_>], right: &[Item<'_>]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .all(|item| right.iter().any(|other| equivalent(item, other)))
}

fn is_in(item: Items<'_>, list: &[Item<'_>]) -> Result<Option<bool>, Fault> {
    let Some(item) = only(item)? else {
        return Ok(None);
    };
    Ok(Some(list.iter().any(|one| equal(one, &item) == Some(true))))
}

/// Whether this very element is among what an expression gives.
pub fn selects(
    expression: &Expression,
    focus: Spot<'_>,
    surroundings: Surroundings<'_>,
    wanted: Option<&serde_json::Value>,
) -> Result<bool, Fault> {
    let evaluation = Evaluation {
        surroundings,
        context: focus,
        made: Cell::new(0),
    };
    let scope = Scope {
        this: &Item::Element(focus),
        index: 0,
    };
    let is_it = |item: &Item<'_>| match (item, wanted) {
        (Item::Element(spot), Some(wanted)) => {
            spot.value.is_some_and(|value| std::ptr::eq(value, wanted))
        }
        _ => false,
    };
    Ok(evaluation.run(expression, scope)?.iter().any(is_it))
}

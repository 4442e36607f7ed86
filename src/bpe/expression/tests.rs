//! `spec/bpmn.md` §4: the language, its coercions, and what DSF files use of it.

use super::*;

struct Plain(Variables);

impl Scope for Plain {
    fn variable(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned()
    }
    fn local_variable(&self, name: &str) -> Option<Variable> {
        self.variable(name)
    }
    fn variables(&self) -> Variables {
        self.0.clone()
    }
    fn set(&mut self, name: &str, value: Option<Variable>, _local: bool) {
        self.0.insert(name.to_owned(), value.unwrap_or_default());
    }
    fn execution(&self, property: &str) -> Option<Variable> {
        (property == "businessKey").then(|| "bk".into())
    }
    fn task(&self, _property: &str) -> Option<Variable> {
        None
    }
}

fn evaluate(source: &str) -> Result<Variable, EvaluationError> {
    let target = crate::bpe::model::Target {
        correlation_key: Some("ck".to_owned()),
        ..Default::default()
    };
    let targets = crate::bpe::model::Targets {
        entries: vec![target],
    };
    let mut scope = Plain(Variables::from([
        ("yes".to_owned(), true.into()),
        ("five".to_owned(), 5_i32.into()),
        ("my-flag".to_owned(), true.into()),
        ("nothing".to_owned(), Variable::Null),
        ("targets".to_owned(), Variable::Targets(targets)),
        (
            "list".to_owned(),
            Variable::List(vec!["a".into(), "b".into()]),
        ),
    ]));
    Expression::compile(source).unwrap().evaluate(&mut scope)
}

#[test]
fn values_keep_their_type_and_mixtures_become_text() {
    for (source, expected) in [
        ("plain", Variable::from("plain")),
        ("${five}", 5_i32.into()),
        ("v${five}#{yes}.", "v5true.".into()),
        ("${1 + 2 * 3}", 7_i64.into()),
        ("${7 / 2}", 3.5.into()),
        ("${'5' == 5 && 'true' == true}", true.into()),
        ("${five >= 2 and five lt 6 ? 'in' : 'out'}", "in".into()),
        (
            "${execution.hasVariable('gone') && gone == 1}",
            false.into(),
        ),
        ("${execution.getVariable(\"my-flag\")}", true.into()),
        ("${execution.businessKey}", "bk".into()),
        ("${!yes || not empty list}", true.into()),
        ("${nothing == null}", true.into()),
        ("${1 + null}", 1_i64.into()),
        (
            "${list[1]}${targets.entries[0].correlationKey}",
            "bck".into(),
        ),
        ("${'}'.length()}", 1_i32.into()),
        ("${targets.isEmpty()}", false.into()),
        ("${'Activity'.substring(0,3)}", "Act".into()),
    ] {
        assert_eq!(evaluate(source), Ok(expected), "{source}");
    }
}

#[test]
fn unknown_names_and_odd_values_are_errors_not_nulls() {
    assert_eq!(
        evaluate("${gone}"),
        Err(EvaluationError::UnknownVariable("gone".to_owned()))
    );
    for source in [
        "${'a' + 1}",
        "${list < 1}",
        "${nothing.size()}",
        "${five.gone}",
    ] {
        assert!(evaluate(source).is_err(), "{source}");
    }
    for source in [
        "${",
        "${a b}",
        "${1 +}",
        "${f()}",
        "${execution.fly()}",
        "${'a}",
        "${(a}",
    ] {
        assert!(Expression::compile(source).is_err(), "{source}");
    }
    let deep = format!("${{{}1{}}}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Expression::compile(&deep).is_err());
}

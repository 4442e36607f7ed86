//! Problems of a file are found at once and say where they are.

use super::*;
use crate::kernel::testing::shared;

fn model(body: &str) -> String {
    format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
 xmlns:camunda="http://camunda.org/schema/1.0/bpmn">
<process id="p" isExecutable="true">
{body}
</process></definitions>"#
    )
}

#[test]
fn every_problem_is_reported_with_its_place_and_element() {
    let source = model(
        "<startEvent id=\"s\"/>\n<serviceTask id=\"a\"/>\n\
         <sequenceFlow id=\"f\" sourceRef=\"s\" targetRef=\"gone\"/>\n<startEvent id=\"s\"/>",
    );
    let problems = parse(&source).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 4, "{texts:#?}");
    assert!(texts[0].starts_with("3:1: process 'p': has multiple"));
    assert!(texts[1].starts_with("5:1: serviceTask 'a': has no implementation"));
    assert!(texts[2].starts_with("6:1: sequenceFlow 'f': targetRef 'gone'"));
    assert!(texts[3].starts_with("7:1: startEvent 's': id 's' is already used in line 4"));
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let source = model("<startEvent id=\"s\" camunda:colour=\"red\"/>");
    let parsed = parse(&source).unwrap();
    assert_eq!(parsed.warnings.len(), 1);
    assert!(
        parsed.warnings[0]
            .to_string()
            .contains("camunda:colour has no effect")
    );
}

#[test]
fn broken_xml_and_foreign_files_are_refused() {
    for source in ["", "<a", "<html/>", "<!DOCTYPE a><a/>"] {
        assert!(parse(source).is_err(), "{source}");
    }
}

/// The tutorial's skeletons, which readers are to complete (`spec/bpmn.md` §1.1).
const SKELETONS: [&str; 2] = [
    "dsf-process-tutorial/bpmn/dic-process.bpmn",
    "dsf-process-tutorial/bpmn/cos-process.bpmn",
];

#[test]
fn the_models_of_published_plugins_parse() {
    let Some(folder) = shared("plugins") else {
        return;
    };
    let mut count = 0;
    for plugin in std::fs::read_dir(folder).unwrap() {
        let Ok(models) = std::fs::read_dir(plugin.unwrap().path().join("bpmn")) else {
            continue;
        };
        for model in models {
            let path = model.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let source = std::fs::read_to_string(&path)
                .unwrap()
                .replace("#{version}", "1.0");
            let parsed = parse(&source);
            if SKELETONS.iter().any(|skeleton| path.ends_with(skeleton)) {
                assert!(parsed.is_err(), "{name}");
                continue;
            }
            let parsed = parsed.unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
            for warning in parsed.warnings {
                println!("{name}:{warning}");
            }
            count += parsed.graphs.len();
        }
    }
    println!("{count} processes");
}

/// S-PARSE-4: found by random models, which Operaton refused.
#[test]
fn a_boundary_event_and_an_event_sub_process_of_one_scope_share_no_message() {
    let body = |loops: &str| {
        model(&format!(
            r#"<startEvent id="s"/><sequenceFlow id="f" sourceRef="s" targetRef="a"/>
            <subProcess id="a">{loops}<startEvent id="s2"/>
                <sequenceFlow id="f2" sourceRef="s2" targetRef="u"/><userTask id="u"/>
                <subProcess id="e" triggeredByEvent="true"><startEvent id="s3">
                    <signalEventDefinition signalRef="g"/></startEvent></subProcess></subProcess>
            <boundaryEvent id="b" attachedToRef="a">
                <signalEventDefinition signalRef="g"/></boundaryEvent>"#
        ))
        .replace("<process", r#"<signal id="g" name="g"/><process"#)
    };
    let problems = parse(&body("")).unwrap_err();
    assert!(problems[0].message.contains("waits twice"), "{problems:?}");
    let several = "<multiInstanceLoopCharacteristics><loopCardinality>2</loopCardinality>\
                   </multiInstanceLoopCharacteristics>";
    parse(&body(several)).unwrap();
}

//! What validation costs: the tables of R4, the first resource of a profile, and those after it.
//!
//! ```text
//! cargo bench --bench validate
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set its stage fails by panicking"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dsf::fhir::initial::built_in;
use dsf::fhir::validate::{Library, core, judge};
use dsf::r4::{Resource, json, xml};

/// The package that comes with the program, its placeholders filled.
fn plugin() -> Vec<Resource> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/ping-pong/fhir")];
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let below = std::fs::read_dir(path).unwrap();
            open.extend(below.map(|entry| entry.unwrap().path()));
        } else {
            found.extend(read(&path));
        }
    }
    found
}

fn read(path: &PathBuf) -> Option<Resource> {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text
        .replace("#{version}", "1.0")
        .replace("#{date}", "2026-01-01")
        .replace("#{organization}", "Test_Organization");
    let parsed = match path.extension()?.to_str()? {
        "json" => json::parse(text.as_bytes()),
        "xml" => xml::parse(text.as_bytes()),
        _ => return None,
    };
    Some(parsed.unwrap())
}

fn main() {
    let timed = |work: &mut dyn FnMut()| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    let built_in = built_in().unwrap();
    let plugin = plugin();
    // One address of each table: at first use all of it is indexed.
    let structures = timed(&mut || drop(black_box(core::definition("Task"))));
    let codes = timed(&mut || {
        drop(black_box(core::value_set(
            "http://hl7.org/fhir/ValueSet/task-status",
            None,
        )));
    });
    let size = core::TABLES_SIZE;
    println!(
        "tables of R4      {size} bytes, indexed in {:?}",
        structures + codes
    );

    let library = Library::of(built_in.iter().chain(&plugin));
    for task in plugin
        .iter()
        .filter(|resource| resource.type_name() == "Task")
    {
        let value = task.clone().into_value();
        let cold = timed(&mut || drop(black_box(judge(&library, &value, &[]).unwrap())));
        // The least of many: whoever else uses the machine is not what is measured.
        let warm = (0..2_000)
            .map(|_| timed(&mut || drop(black_box(judge(&library, &value, &[]).unwrap()))))
            .min()
            .unwrap_or(Duration::ZERO);
        let profile = task.profiles().next().unwrap_or("a Task without profile");
        println!("first Task        {cold:?}   {profile}");
        println!("each after it     {warm:?}");
    }
}

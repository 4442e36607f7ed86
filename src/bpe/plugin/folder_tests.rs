use std::fs;
use std::path::{Path, PathBuf};

use super::{Folder, GONE, Judge};
use crate::bpe::plugin::package::{Files, Found, Problem, Site, Substitutes};

fn site() -> Site<'static> {
    Site {
        substitutes: Substitutes {
            organization: "Test_Organization",
            environment: &|_| None,
        },
        base_url: "https://fhir.a.example/fhir",
    }
}

/// The ping-pong plugin, written to a folder.
fn write(folder: &Path) {
    let built_in = Files::built_in();
    let files = built_in
        .iter()
        .find(|one| one.origin == "ping-pong")
        .unwrap();
    let mut paths: Vec<String> = files.below(&["bpe", "fhir"]).into_iter().collect();
    paths.extend(["plugin.toml".to_owned(), "main.js".to_owned()]);
    for path in paths {
        let target = folder.join(&path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, files.bytes(&path).unwrap()).unwrap();
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from));
    fs::write(file, text.replace(from, to)).unwrap();
}

struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dsf-folder-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The packages with the processes of ping-pong 1.0.
fn origins(found: &Found) -> Vec<String> {
    let packages = found.packages.iter();
    packages
        .map(|one| format!("{} {}", one.origin, one.manifest.version.as_str()))
        .filter(|one| one.starts_with("ping-pong 1.") || one.contains("mine"))
        .collect()
}

/// An edit is taken once it has come to rest; one that cannot be used leaves what is in force; a
/// second package with the same process is refused; a removed package makes room for the other.
#[test]
fn changes_of_the_folder_come_into_force_or_are_refused_as_a_whole() {
    let home = Home::new("changes");
    let mine = home.0.join("mine");
    write(&mine);
    let judge: &Judge = &|package| {
        let refused = package.manifest.version.as_str() == "1.0.5.0";
        refused
            .then(|| Problem {
                file: "fhir/a.json".to_owned(),
                place: String::new(),
                message: "does not validate".to_owned(),
                warning: false,
            })
            .into_iter()
            .collect()
    };
    let mut folder = Folder::open(Some(&home.0), &site(), judge).unwrap();
    assert_eq!(
        origins(&folder.found()),
        ["mine 1.0.2.0"],
        "in place of the built-in one"
    );
    assert!(!folder.look(&site(), judge).unwrap(), "nothing has changed");

    edit(&mine.join("plugin.toml"), "1.0.2.0", "1.0.30.0");
    assert!(
        !folder.look(&site(), judge).unwrap(),
        "it may still be written"
    );
    assert!(folder.look(&site(), judge).unwrap());
    assert_eq!(origins(&folder.found()), ["mine 1.0.30.0"]);

    edit(&mine.join("main.js"), "export const", "export konst");
    edit(&mine.join("plugin.toml"), "1.0.30.0", "1.0.4.0");
    folder.look(&site(), judge).unwrap();
    assert!(folder.look(&site(), judge).unwrap());
    let found = folder.found();
    assert_eq!(
        origins(&found),
        ["mine 1.0.30.0"],
        "what was in force stays"
    );
    assert!(
        found.refused[0].to_string().contains("main.js"),
        "{:?}",
        found.refused
    );
    assert!(!found.incomplete, "its processes are known");

    edit(&mine.join("main.js"), "export konst", "export const");
    edit(&mine.join("plugin.toml"), "1.0.4.0", "1.0.5.0");
    edit(
        &mine.join("fhir/CodeSystem/ping.json"),
        "DSF Ping",
        "DSF Pang",
    );
    folder.look(&site(), judge).unwrap();
    assert!(folder.look(&site(), judge).unwrap());
    let found = folder.found();
    assert_eq!(
        origins(&found),
        ["mine 1.0.30.0"],
        "what was in force stays"
    );
    assert!(found.refused[0].to_string().contains("does not validate"));

    let other = home.0.join("a-mine-too");
    write(&other);
    folder.look(&site(), judge).unwrap();
    assert!(folder.look(&site(), judge).unwrap());
    let found = folder.found();
    assert_eq!(origins(&found), ["mine 1.0.30.0"]);
    let told = found
        .refused
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        told.contains("dsfdev_ping|1.0 is a process of mine already"),
        "{told}"
    );

    fs::remove_dir_all(&mine).unwrap();
    for _ in 1..GONE {
        assert!(!folder.look(&site(), judge).unwrap(), "it may come back");
        assert!(folder.is_moving());
    }
    assert!(folder.look(&site(), judge).unwrap());
    assert!(!folder.is_moving());
    assert_eq!(origins(&folder.found()), ["a-mine-too 1.0.2.0"]);
}

//! Who takes part: one CA, a certificate for every identity, organisations and persons.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use dsf::net::pki::{Authority, Issued, Profile};
use dsf::net::tls::Thumbprint;
use dsf::store::testing::temporary_folder;
use openssl::x509::X509;
use rcgen::ExtendedKeyUsagePurpose;

use super::allow_list;

const EVERYTHING: &str =
    r#""CREATE", "READ", "UPDATE", "DELETE", "SEARCH", "HISTORY", "PERMANENT_DELETE""#;
const DAY: Duration = Duration::from_secs(86_400);

/// Certificates by name, see [`World::new`]; members of the allow list; addresses.
pub struct World {
    pub folder: PathBuf,
    pub members: Vec<Member>,
    pub persons: Vec<Person>,
    /// The organisation whose members have roles.
    pub parent: &'static str,
    authority: Authority,
}

/// An organisation of the allow list.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its certificate is `<name>.crt`.
    pub name: &'static str,
    pub identifier: &'static str,
    /// Its role in `Parent_Organization`, if it is a member of that.
    pub role: Option<&'static str>,
    pub active: bool,
    pub port: u16,
    pub thumbprint: String,
}

/// Somebody with rights of a role rule.
#[derive(Clone, Debug)]
pub struct Person {
    pub name: &'static str,
    pub rights: &'static str,
    pub practitioner_role: &'static str,
    pub thumbprint: String,
}

impl Member {
    fn new(name: &'static str, identifier: &'static str, role: Option<&'static str>) -> Self {
        Self {
            name,
            identifier,
            role,
            active: true,
            port: free_port(),
            thumbprint: String::new(),
        }
    }

    pub fn base_url(&self) -> String {
        format!("https://localhost:{}/fhir", self.port)
    }

    /// The identifier of its Endpoint.
    pub fn endpoint(&self) -> String {
        self.identifier.replace("Organization", "Endpoint")
    }
}

impl World {
    /// One organisation, `local`, its peers `external` (in role DIC), `third` (member of nothing)
    /// and `inactive`, the persons `admin` and `practitioner`; and certificates of nobody:
    /// `unknown`, `expired`, `early` and `serveronly` of the trusted CA, `rogue` of another.
    pub fn new() -> Self {
        let mut inactive = Member::new("inactive", "Inactive_Organization", None);
        inactive.active = false;
        Self::of(vec![
            Member::new("local", "Test_Organization", Some("COS")),
            Member::new("external", "External_Organization", Some("DIC")),
            Member::new("third", "Third_Organization", None),
            inactive,
        ])
    }

    /// The two organisations of the recorded traffic, `bpe-a` and `bpe-b`, and people of the first.
    pub fn recorded() -> Self {
        let mut world = Self::of(vec![
            Member::new("bpe-a", "Test_Organization", Some("COS")),
            Member::new("bpe-b", "External_Test_Organization", Some("DIC")),
        ]);
        world.employ("dic-user", EVERYTHING, "DIC_USER");
        world.employ("uac-user", EVERYTHING, "UAC_USER");
        world
    }

    /// Organisations of the research initiative, by name, identifier and role.
    pub fn research(members: &[(&'static str, &'static str, &'static str)]) -> Self {
        let member = |&(name, identifier, role)| Member::new(name, identifier, Some(role));
        let mut world = Self::of(members.iter().map(member).collect());
        world.parent = "medizininformatik-initiative.de";
        world
    }

    fn of(members: Vec<Member>) -> Self {
        static FOLDER: OnceLock<PathBuf> = OnceLock::new();
        static WORLDS: AtomicUsize = AtomicUsize::new(0);
        let all = FOLDER.get_or_init(|| temporary_folder("worlds"));
        let folder = all.join(WORLDS.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Authority::new("Test CA").unwrap();
        std::fs::write(folder.join("ca.crt"), authority.certificate()).unwrap();
        let mut world = Self {
            folder,
            members,
            persons: Vec::new(),
            parent: "Parent_Organization",
            authority,
        };
        world.issue("server", &Profile::server(&["localhost"]));
        for index in 0..world.members.len() {
            let name = world.members[index].name;
            world.members[index].thumbprint = world.issue(name, &Profile::client(name));
        }
        world.employ("admin", EVERYTHING, "DSF_ADMIN");
        world.employ(
            "practitioner",
            r#""CREATE", "READ", "SEARCH", "HISTORY""#,
            "DIC_USER",
        );
        world.issue_to_nobody();
        world
    }

    /// A certificate of the trusted CA in `<name>.crt` and `<name>.key`; its thumbprint.
    pub fn issue(&self, name: &str, profile: &Profile) -> String {
        let issued = self.authority.issue(profile).unwrap();
        self.keep(name, &issued)
    }

    /// The CA that nodes trust.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Keeps a certificate with its key; its thumbprint.
    pub fn keep(&self, name: &str, issued: &Issued) -> String {
        issued.write(&self.folder, name).unwrap();
        let certificate = X509::from_pem(issued.certificate.as_bytes()).unwrap();
        Thumbprint::of(&certificate.to_der().unwrap()).to_string()
    }

    /// Somebody with rights, as a list of operations, and a practitioner role.
    pub fn employ(&mut self, name: &'static str, rights: &'static str, role: &'static str) {
        let mut profile = Profile::client(name);
        if name.ends_with("-user") {
            profile.names = vec![format!("{name}@test.org")];
        }
        let thumbprint = self.issue(name, &profile);
        self.persons.push(Person {
            name,
            rights,
            practitioner_role: role,
            thumbprint,
        });
    }

    fn issue_to_nobody(&self) {
        self.issue("unknown", &Profile::client("unknown"));
        let now = SystemTime::now();
        let mut expired = Profile::client(self.members[0].name);
        (expired.valid_from, expired.valid_until) = (now - 30 * DAY, now - 2 * DAY);
        self.issue("expired", &expired);
        let mut early = Profile::client(self.members[0].name);
        early.valid_from = now + 2 * DAY;
        self.issue("early", &early);
        let mut serveronly = Profile::client("serveronly");
        serveronly.usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("serveronly", &serveronly);
        let rogue = Authority::new("Test CA").unwrap();
        self.keep(
            "rogue",
            &rogue.issue(&Profile::client(self.members[0].name)).unwrap(),
        );
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub fn member(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|member| member.name == name);
        found.expect("a member of this world")
    }

    /// Writes the configuration and the allow list of a member's FHIR role.
    pub fn write_node(&self, member: &Member, port: u16) -> PathBuf {
        let bundle = self.path("bundle.json");
        if !bundle.exists() {
            let text =
                serde_json::to_vec_pretty(&allow_list::bundle(self.parent, &self.members)).unwrap();
            std::fs::write(&bundle, text).unwrap();
        }
        let path = self.path(&format!("dsf-{port}.toml"));
        std::fs::write(&path, self.configuration(member, port, &bundle)).unwrap();
        path
    }

    fn configuration(&self, member: &Member, port: u16, bundle: &Path) -> String {
        let (name, identifier, base) = (member.name, member.identifier, member.base_url());
        let bundle = bundle.display();
        let mut text = format!(
            r#"
organization.identifier = "{identifier}"
fhir.base-url = "{base}"
fhir.listen = "127.0.0.1:{port}"
fhir.initial-bundle = "{bundle}"
tls.certificate = "server.crt"
tls.private-key = "server.key"
tls.client-cas = "ca.crt"
client.certificate = "{name}.crt"
client.private-key = "{name}.key"
client.server-cas = "ca.crt"
log.format = "human"
"#
        );
        for person in &self.persons {
            let Person {
                rights,
                practitioner_role,
                thumbprint,
                ..
            } = person;
            text += &format!(
                r#"
[[role]]
thumbprint = ["{thumbprint}"]
dsf-role = [{rights}]
practitioner-role = ["http://dsf.dev/fhir/CodeSystem/practitioner-role|{practitioner_role}"]
"#
            );
        }
        text
    }
}

/// A port that is free and stays so until somebody binds it: none of those that the kernel gives to
/// outgoing connections, and never the same twice. Several of these programs at once begin apart.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const MANY: u32 = 22_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(997);
    loop {
        let next = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(next < MANY, "no port is free");
        let port = u16::try_from(FIRST + begin.wrapping_add(next) % MANY).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

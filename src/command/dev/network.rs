//! What a development network consists of, on disk.
//!
//! `network.json` names the organisations; each has a folder with its certificates, its allow
//! list and its `dsf.toml`. Everything lies below one folder and can be removed with it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::Topology;
use super::bundle::{self, Listed};
use crate::net::pki::{Authority, Profile};
use crate::net::tls::PeerCertificate;

const FILE: &str = "network.json";
const USUAL_SIZE: u16 = 3;

/// What the command line asked for; nothing means: whatever is there, or the usual.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub organizations: Option<u16>,
    pub topology: Option<Topology>,
}

/// A development network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    pub topology: Topology,
    pub organizations: Vec<Organization>,
    #[serde(skip)]
    pub folder: PathBuf,
}

/// One organisation of the network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Organization {
    /// Folder, database and prefix of the identifiers.
    pub name: String,
    pub port: u16,
    pub status_port: u16,
    /// SHA-512 thumbprint of the client certificate.
    pub thumbprint: String,
}

impl Organization {
    #[must_use]
    pub fn identifier(&self) -> String {
        format!("{}.dsf.test", self.name)
    }

    /// Its line in the allow lists.
    fn listed(&self) -> Listed {
        Listed {
            identifier: self.identifier(),
            endpoint_identifier: self.endpoint_identifier(),
            address: self.base_url(),
            thumbprint: self.thumbprint.clone(),
            role: "DIC".to_owned(),
        }
    }

    #[must_use]
    pub fn endpoint_identifier(&self) -> String {
        format!("endpoint.{}.dsf.test", self.name)
    }

    #[must_use]
    pub fn base_url(&self) -> String {
        format!("https://localhost:{}/fhir", self.port)
    }
}

impl Network {
    /// The network below this folder.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(FILE);
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "there is no network in {}; start one with: dsf dev up",
                folder.display()
            )
        })?;
        let mut network: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; start anew: dsf dev reset", file.display()))?;
        network.folder = folder.to_owned();
        Ok(network)
    }

    /// The network below this folder, made first when there is none.
    pub fn load_or_make(folder: &Path, wish: Wish) -> anyhow::Result<Self> {
        if !folder.join(FILE).exists() {
            return Self::make(folder, wish);
        }
        let network = Self::load(folder)?;
        let size = u16::try_from(network.organizations.len()).unwrap_or(u16::MAX);
        let fits = wish.organizations.is_none_or(|wanted| wanted == size)
            && wish
                .topology
                .is_none_or(|wanted| wanted == network.topology);
        if !fits {
            bail!(
                "the network in {} has {size} organisations and another shape than asked for; \
                 remove it first with: dsf dev reset --dir {0}",
                folder.display()
            );
        }
        Ok(network)
    }

    fn make(folder: &Path, wish: Wish) -> anyhow::Result<Self> {
        make_folder(folder)?;
        make_folder(&folder.join("plugins"))?;
        let authority = Authority::new("DSF development CA")?;
        write(&folder.join("ca.crt"), authority.certificate())?;
        let size = wish.organizations.unwrap_or(USUAL_SIZE);
        let ports = free_ports(usize::from(size) * 2)?;
        let mut network = Self {
            topology: wish.topology.unwrap_or(Topology::Mesh),
            organizations: Vec::new(),
            folder: folder.to_owned(),
        };
        for (number, ports) in (1..=size).zip(ports.chunks(2)) {
            let name = format!("org{number}");
            let home = folder.join(&name);
            make_folder(&home)?;
            let server = authority.issue(&Profile::server(&["localhost", "127.0.0.1", "::1"]))?;
            server.write(&home, "server")?;
            let client = authority.issue(&Profile::client(&format!("{name}.dsf.test")))?;
            client.write(&home, "client")?;
            let thumbprint = thumbprint(&client.certificate)?;
            let [port, status_port] = *ports else {
                bail!("no free ports")
            };
            network.organizations.push(Organization {
                name,
                port,
                status_port,
                thumbprint,
            });
        }
        let mut admin = Profile::client("Administrator");
        admin.names = vec!["admin@dsf.test".to_owned()];
        let admin = authority.issue(&admin)?;
        admin.write(folder, "admin")?;
        network.configure(&thumbprint(&admin.certificate)?)?;
        let text = serde_json::to_string_pretty(&network)?;
        // Last, so that an interrupted start is made anew and not taken for a whole one.
        write(&folder.join(FILE), &text)?;
        Ok(network)
    }

    fn configure(&self, admin: &str) -> anyhow::Result<()> {
        for organization in &self.organizations {
            let home = self.home(organization);
            let known = self.known_to(organization).into_iter();
            let known: Vec<Listed> = known.map(Organization::listed).collect();
            let list = serde_json::to_string_pretty(&bundle::allow_list(&known))?;
            write(&home.join("bundle.json"), &list)?;
            write(&home.join("dsf.toml"), &toml(organization, admin))?;
        }
        Ok(())
    }

    /// Who stands in an organisation's allow list, itself included.
    #[must_use]
    pub fn known_to(&self, organization: &Organization) -> Vec<&Organization> {
        self.organizations
            .iter()
            .enumerate()
            .filter(|(number, other)| {
                let hub = *number == 0 || self.is_hub(organization);
                other.name == organization.name || self.topology == Topology::Mesh || hub
            })
            .map(|(_, other)| other)
            .collect()
    }

    fn is_hub(&self, organization: &Organization) -> bool {
        self.organizations
            .first()
            .is_some_and(|hub| hub.name == organization.name)
    }

    #[must_use]
    pub fn home(&self, organization: &Organization) -> PathBuf {
        self.folder.join(&organization.name)
    }
}

fn toml(organization: &Organization, admin: &str) -> String {
    format!(
        "# Written by `dsf dev up`; `dsf dev reset` removes it.\n\
         [organization]\nidentifier = \"{identifier}\"\n\n\
         [fhir]\nbase-url = \"{base}\"\nlisten = \"127.0.0.1:{port}\"\n\
         initial-bundle = \"bundle.json\"\n\n\
         [bpe]\nplugin-dir = \"../plugins\"\n\n\
         [tls]\ncertificate = \"server.crt\"\nprivate-key = \"server.key\"\n\
         client-cas = \"../ca.crt\"\n\n\
         [client]\ncertificate = \"client.crt\"\nprivate-key = \"client.key\"\n\
         server-cas = \"../ca.crt\"\n\n\
         [status]\nlisten = \"127.0.0.1:{status}\"\n\n\
         [[role]]\nthumbprint = \"{admin}\"\n\
         dsf-role = [\"CREATE\", \"READ\", \"UPDATE\", \"DELETE\", \"SEARCH\", \"HISTORY\", \
         \"PERMANENT_DELETE\", \"WEBSOCKET\"]\n\
         practitioner-role = \"http://dsf.dev/fhir/CodeSystem/practitioner-role|DSF_ADMIN\"\n",
        identifier = organization.identifier(),
        base = organization.base_url(),
        port = organization.port,
        status = organization.status_port,
    )
}

fn thumbprint(pem: &str) -> anyhow::Result<String> {
    let der = openssl::x509::X509::from_pem(pem.as_bytes())?.to_der()?;
    Ok(PeerCertificate::from_der(&der)?.thumbprint_hex().to_owned())
}

/// Ports that nobody listens on now. They stay the same from start to start, since they are part
/// of addresses that the organisations store.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("no free ports on the loopback")?;
    let port = |listener: &TcpListener| Ok(listener.local_addr()?.port());
    listeners.iter().map(port).collect()
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(topology: Topology) -> Network {
        let organizations = (1..=3).map(|number| Organization {
            name: format!("org{number}"),
            port: 1000 + number,
            status_port: 2000 + number,
            thumbprint: String::new(),
        });
        Network {
            topology,
            organizations: organizations.collect(),
            folder: PathBuf::new(),
        }
    }

    #[test]
    fn in_a_star_only_the_first_knows_everyone() {
        let names = |network: &Network, number: usize| -> Vec<String> {
            let known = network.known_to(&network.organizations[number]);
            known
                .iter()
                .map(|organization| organization.name.clone())
                .collect()
        };
        let star = network(Topology::Star);
        assert_eq!(names(&star, 0), ["org1", "org2", "org3"]);
        assert_eq!(names(&star, 1), ["org1", "org2"]);
        assert_eq!(names(&star, 2), ["org1", "org3"]);
        assert_eq!(names(&network(Topology::Mesh), 2), ["org1", "org2", "org3"]);
    }
}

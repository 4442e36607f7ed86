//! `dsf cert`: thumbprints for allow lists and role rules, and what a certificate is good for.

mod inspection;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use openssl::x509::X509;

use crate::command::table::Table;
use crate::kernel::Clock;
use crate::net::tls::Thumbprint;
use inspection::Inspection;

#[derive(Debug, Subcommand)]
pub enum Cert {
    /// Print the thumbprint by which partners and role rules know a certificate: the SHA-512 of
    /// its DER form in hexadecimal.
    #[command(after_help = "\
Exit codes: 0 printed, 1 a file cannot be read or holds no certificate.

Examples:
  dsf cert thumbprint client.crt
  dsf cert thumbprint --json *.crt")]
    Thumbprint {
        /// Certificates in PEM or DER form; of several in one file the first counts.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Print what stands in certificates and what a DSF node makes of it.
    #[command(after_help = "\
Exit codes: 0 nothing to complain about, 1 a file cannot be read, or a certificate is out of
date or fit neither for a client nor for a server.

Examples:
  dsf cert inspect client.crt server.crt
  dsf cert inspect --json client.crt")]
    Inspect {
        /// Certificates in PEM or DER form; all in a file are shown.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Cert) -> anyhow::Result<ExitCode> {
    match command {
        Cert::Thumbprint { files, json } => thumbprint(files, *json),
        Cert::Inspect { files, json } => inspect(files, *json),
    }
}

fn thumbprint(files: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(&["thumbprint", "file"]);
    for file in files {
        let certificates = certificates(file)?;
        table.row([
            Thumbprint::of(&certificates[0]).to_string(),
            file.display().to_string(),
        ]);
    }
    match (files, json) {
        // One file, one line, nothing to cut off: for use in scripts.
        ([file], false) => println!("{}", Thumbprint::of(&certificates(file)?[0])),
        _ => table.print(json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(files: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let mut sound = true;
    let mut printed = Vec::new();
    for file in files {
        for der in certificates(file)? {
            let inspection = Inspection::of(&der, now)
                .with_context(|| format!("{}: not an X.509 certificate", file.display()))?;
            sound &= inspection.sound();
            match json {
                true => printed.push(inspection.json(&file.display().to_string())),
                false => print!("{}\n{}", file.display(), inspection.text()),
            }
        }
    }
    if json {
        println!("{:#}", serde_json::Value::Array(printed));
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The DER forms of the certificates in a file; at least one.
pub(super) fn certificates(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let name = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("{name}: cannot be read"))?;
    if !bytes.starts_with(b"\x30") {
        let chain = X509::stack_from_pem(&bytes)
            .with_context(|| format!("{name}: neither a PEM nor a DER file"))?;
        let ders = chain.iter().map(|certificate| certificate.to_der());
        let ders = ders.collect::<Result<Vec<_>, _>>()?;
        if ders.is_empty() {
            bail!("{name}: holds no certificate");
        }
        return Ok(ders);
    }
    X509::from_der(&bytes).with_context(|| format!("{name}: not an X.509 certificate"))?;
    Ok(vec![bytes])
}

//! `dsf healthcheck`: asks the status listeners that the configuration names.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::app;
use crate::cli::{Configuration, Roles};
use crate::command::table::Table;
use crate::config::Needs;

const TIME: Duration = Duration::from_secs(5);

pub fn run(roles: &Roles, configuration: &Configuration, json: bool) -> anyhow::Result<ExitCode> {
    // A health check needs the addresses only, and must not fail for a key that serving needs.
    let config = configuration.sources().load(Needs::NOTHING)?;
    let mut table = Table::new(&["key", "address", "status"]);
    let mut well = true;
    for (key, address) in app::status_addresses(&config, &roles.list()) {
        let status = ask(address).unwrap_or_else(|error| format!("{error:#}"));
        well &= status == "ok";
        table.row([key.to_owned(), address.to_string(), status]);
    }
    table.print(json)?;
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&reachable(address), TIME)
        .context("nothing answers; is dsf serve running?")?;
    stream.set_read_timeout(Some(TIME))?;
    stream.write_all(format!("GET /status HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("no complete answer")?;
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        bail!("what answers there is not dsf");
    };
    match head.split(' ').nth(1) {
        Some("200") => Ok("ok".to_owned()),
        _ => Ok(body.trim().to_owned()),
    }
}

/// A listener on "all addresses" is asked on the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

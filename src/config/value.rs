//! What a key's value may be: how it is read, and how it is described.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::Value;
use url::Url;

use crate::config::keys::LogLevel;
use crate::kernel::Secret;
use crate::kernel::telemetry::{self, Format};

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    Number,
    List,
}

/// A type that a key can have. Every value is read from text, whichever layer it comes from.
pub trait Setting: Sized {
    const SHAPE: Shape = Shape::Text;
    /// Completes "expected …".
    const EXPECTED: &'static str;
    const SECRET: bool = false;

    /// Reads the text; relative paths are relative to `base`. The error completes the sentence
    /// "this value …", and is empty when [`Setting::EXPECTED`] says it all.
    fn parse(text: &str, base: &Path) -> Result<Self, String>;

    fn read(value: &Value, base: &Path) -> Result<Self, String> {
        Self::parse(&scalar(value)?, base)
    }
}

/// The text of a value that is neither a list nor a table.
pub(super) fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(_, text) => Ok(text.clone()),
        Value::Char(_, letter) => Ok(letter.to_string()),
        Value::Bool(_, truth) => Ok(truth.to_string()),
        Value::Num(_, number) => number
            .to_u128()
            .map(|whole| whole.to_string())
            .or_else(|| number.to_i128().map(|whole| whole.to_string()))
            .or_else(|| number.to_f64().map(|float| float.to_string()))
            .ok_or_else(String::new),
        Value::Array(..) => Err("is a list".to_owned()),
        Value::Dict(..) | Value::Empty(..) => Err("is a table".to_owned()),
    }
}

/// A value as an operator would write it, for messages and tables.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(shown).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Dict(_, members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", shown(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => scalar(other).unwrap_or_default(),
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        if text.trim().is_empty() {
            Err("is empty".to_owned())
        } else {
            Ok(text.to_owned())
        }
    }
}

impl Setting for Secret {
    const EXPECTED: &'static str = "a text, kept secret";
    const SECRET: bool = true;

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        String::parse(text, base).map(Self::new)
    }
}

impl Setting for u16 {
    const SHAPE: Shape = Shape::Number;
    const EXPECTED: &'static str = "a number from 1 to 65535";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(String::new)
    }
}

impl Setting for u32 {
    const SHAPE: Shape = Shape::Number;
    const EXPECTED: &'static str = "a number from 1 to 4294967295";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(String::new)
    }
}

impl Setting for bool {
    // Without quotation marks, as numbers are.
    const SHAPE: Shape = Shape::Number;
    const EXPECTED: &'static str = "true or false";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        text.parse().map_err(|_| String::new())
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an IP address with a port, such as 127.0.0.1:8443";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        text.parse().map_err(|_| String::new())
    }
}

impl Setting for IpAddr {
    const EXPECTED: &'static str = "an IP address, such as 192.0.2.10";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        text.parse().map_err(|_| "is no IP address".to_owned())
    }
}

impl Setting for Url {
    const EXPECTED: &'static str = "a URL that starts with https:// or http://, without ? and #";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("is no URL ({error})"))?;
        let plain = url.query().is_none() && url.fragment().is_none();
        match url.scheme() {
            "http" | "https" if plain && url.has_host() => Ok(url),
            _ => Err(String::new()),
        }
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a time span, such as 500ms, 10s or 2m";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        let span: jiff::SignedDuration = text.parse().map_err(|_| String::new())?;
        Self::try_from(span)
            .ok()
            .filter(|span| !span.is_zero())
            .ok_or_else(String::new)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl Setting for ByteSize {
    const EXPECTED: &'static str = "a size, such as 512 KiB, 8 MiB or 1 GiB";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let factor: usize = match text[digits.len()..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(String::new()),
        };
        let bytes = digits
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(factor));
        bytes
            .filter(|bytes| *bytes > 0)
            .map(Self)
            .ok_or_else(String::new)
    }
}

/// A file that must be there and readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile(pub PathBuf);

impl Setting for InputFile {
    const EXPECTED: &'static str = "the path of a readable file";

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let path = base.join(String::parse(text, base)?);
        let opened = File::open(&path).and_then(|file| file.metadata());
        match opened {
            Ok(metadata) if metadata.is_dir() => Err(format!("is a folder ({})", path.display())),
            Ok(_) => Ok(Self(path)),
            Err(error) => Err(format!("cannot be read ({}: {error})", path.display())),
        }
    }
}

/// A file of certificates, or a folder of such files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorities(pub PathBuf);

impl Setting for Authorities {
    const EXPECTED: &'static str = "the path of a readable file or folder";

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let path = base.join(String::parse(text, base)?);
        if path.is_dir() {
            return Ok(Self(path));
        }
        InputFile::parse(text, base).map(|InputFile(path)| Self(path))
    }
}

/// A folder; whoever uses it says what must be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(pub PathBuf);

impl Setting for Directory {
    const EXPECTED: &'static str = "the path of a folder";

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let path = base.join(String::parse(text, base)?);
        if path.is_file() {
            Err(format!("is a file ({})", path.display()))
        } else {
            Ok(Self(path))
        }
    }
}

/// Who asks the client for its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// We do, in the handshake; without one there is no connection.
    Required,
    /// A reverse proxy does, and forwards it.
    Proxy,
}

impl Setting for ClientCertificate {
    const EXPECTED: &'static str = "\"required\" or \"proxy\"";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        match text {
            "required" => Ok(Self::Required),
            "proxy" => Ok(Self::Proxy),
            _ => Err(String::new()),
        }
    }
}

/// Where a revocation list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevocationList {
    Path(PathBuf),
    Url(Url),
}

impl Setting for RevocationList {
    const EXPECTED: &'static str = "a readable file or folder, or an http or https address";

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let url = Url::parse(text).map_err(|error| format!("is no URL ({error})"));
            return url.map(Self::Url);
        }
        Authorities::parse(text, base).map(|Authorities(path)| Self::Path(path))
    }
}

/// What becomes of a certificate without a revocation list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutList {
    Accept,
    Refuse,
}

impl Setting for WithoutList {
    const EXPECTED: &'static str = "\"accept\" or \"refuse\"";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        match text {
            "accept" => Ok(Self::Accept),
            "refuse" => Ok(Self::Refuse),
            _ => Err(String::new()),
        }
    }
}

/// What is offered beside the interactions of the Java DSF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraInteraction {
    Validate,
    SearchByPost,
}

impl Setting for ExtraInteraction {
    const EXPECTED: &'static str = "\"validate\" or \"search-by-post\"";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        match text {
            "validate" => Ok(Self::Validate),
            "search-by-post" => Ok(Self::SearchByPost),
            _ => Err(String::new()),
        }
    }
}

/// Whose reads of personal data go into the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditReads {
    Others,
    All,
    None,
}

impl Setting for AuditReads {
    const EXPECTED: &'static str = "\"others\", \"all\" or \"none\"";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        match text {
            "others" => Ok(Self::Others),
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            _ => Err(String::new()),
        }
    }
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte on.
    Tls,
    /// After a plain greeting.
    StartTls,
    /// Not at all.
    None,
}

impl Setting for Encryption {
    const EXPECTED: &'static str = "\"starttls\", \"tls\" or \"none\"";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        match text {
            "starttls" => Ok(Self::StartTls),
            "tls" => Ok(Self::Tls),
            "none" => Ok(Self::None),
            _ => Err(String::new()),
        }
    }
}

impl Setting for Format {
    const EXPECTED: &'static str = "\"auto\", \"human\" or \"json\"";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(String::new()),
        }
    }
}

impl Setting for LogLevel {
    const EXPECTED: &'static str = "a log level";

    fn parse(text: &str, _: &Path) -> Result<Self, String> {
        telemetry::filter(text).map_err(|error| format!("is {error}"))?;
        Ok(Self(text.to_owned()))
    }
}

/// Which item of a list is at fault.
fn of_item<T: Setting>(item: &str, fault: &str) -> String {
    let fault = if fault.is_empty() { "is wrong" } else { fault };
    format!(
        "holds \"{item}\", which {fault}; each must be {}",
        T::EXPECTED
    )
}

/// A list; in an environment variable or on the command line the items are separated by commas.
impl<T: Setting> Setting for Vec<T> {
    const SHAPE: Shape = Shape::List;
    const EXPECTED: &'static str = "a list";

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        let item = |item| T::parse(item, base).map_err(|fault| of_item::<T>(item, &fault));
        items.map(item).collect()
    }

    fn read(value: &Value, base: &Path) -> Result<Self, String> {
        match value {
            Value::Array(_, items) => items
                .iter()
                .map(|item| {
                    let fault =
                        |fault: String| of_item::<T>(&scalar(item).unwrap_or_default(), &fault);
                    T::read(item, base).map_err(fault)
                })
                .collect(),
            other => Self::parse(&scalar(other)?, base),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Setting>(text: &str) -> Result<T, String> {
        T::parse(text, Path::new("/etc/dsf"))
    }

    #[test]
    fn sizes_and_spans_are_read_with_their_units_and_never_zero() {
        assert_eq!(parse::<ByteSize>("8 MiB"), Ok(ByteSize(8 << 20)));
        assert_eq!(parse::<ByteSize>("512KiB"), Ok(ByteSize(512 << 10)));
        assert_eq!(parse::<ByteSize>("1000"), Ok(ByteSize(1000)));
        assert_eq!(parse::<Duration>("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(
            parse::<Duration>("1m 500ms"),
            Ok(Duration::from_millis(60_500))
        );
        for wrong in ["", "0", "8 MB", "MiB", "99999999999 GiB", "-1"] {
            assert!(parse::<ByteSize>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "0s", "2", "-2s", "soon"] {
            assert!(parse::<Duration>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_file_and_inputs_must_exist() {
        let folder = parse::<Directory>("data").unwrap();
        assert_eq!(folder, Directory(PathBuf::from("/etc/dsf/data")));
        let missing = parse::<InputFile>("no.crt").unwrap_err();
        assert!(missing.contains("/etc/dsf/no.crt"), "{missing}");
        assert!(parse::<InputFile>("/").unwrap_err().contains("is a folder"));
    }

    #[test]
    fn a_list_is_an_array_or_a_text_with_commas() {
        let ips: Vec<IpAddr> = parse("192.0.2.1, ::1").unwrap();
        assert_eq!(ips.len(), 2);
        assert_eq!(parse::<Vec<String>>(""), Ok(Vec::new()));
    }
}

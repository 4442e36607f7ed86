//! Mail by SMTP, signed if wanted; without a server, mails are written to the log.

mod signature;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Identity, Tls, TlsParameters,
};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::kernel::Secret;
use crate::net::pem::{self, KeyFiles};

use signature::Signer;

const PATIENCE: Duration = Duration::from_secs(30);

/// How the connection to the server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte on (SMTPS).
    Tls,
    /// After a plain greeting; a server that cannot is refused.
    #[default]
    StartTls,
    /// Not at all: for a relay on the same host.
    None,
}

/// The mail server, and what a mail has that does not say otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Without one, mails go to the log.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub encryption: Encryption,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// File or folder of CAs for the server; without it those of the system.
    pub server_cas: Option<PathBuf>,
    /// What we show a server that asks for a certificate.
    pub identity: Option<KeyFiles>,
    /// PKCS#12 file, and its password, with what mails are signed with.
    pub signature: Option<(PathBuf, Option<Secret>)>,
    pub from: String,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub reply_to: Vec<String>,
}

/// A mail to be sent.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
    pub attachments: Vec<File>,
    /// The configured receivers unless given; so for `cc` and `reply_to`.
    pub to: Option<Vec<String>>,
    pub cc: Option<Vec<String>>,
    pub bcc: Vec<String>,
    pub reply_to: Option<Vec<String>>,
}

/// An attachment.
#[derive(Clone, Debug)]
pub struct File {
    pub name: String,
    pub media_type: String,
    pub content: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("'{0}' is not a mail address")]
    Address(String),
    #[error("the mail has no receiver; set mail.to, or name one")]
    NoReceiver,
    #[error("'{0}' is not a media type")]
    MediaType(String),
    #[error("the mail cannot be written: {0}")]
    Form(#[from] lettre::error::Error),
    #[error("the mail was not sent: {0}")]
    Sending(#[from] lettre::transport::smtp::Error),
    #[error("{}: {detail}", path.display())]
    KeyStore { path: PathBuf, detail: String },
    #[error("OpenSSL refuses: {0}")]
    OpenSsl(#[from] openssl::error::ErrorStack),
    #[error(transparent)]
    Files(#[from] pem::Error),
}

/// Sends mail.
pub struct Mailer {
    settings: Settings,
    from: Mailbox,
    signer: Option<Signer>,
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

impl Mailer {
    /// # Errors
    /// When an address, a certificate or a key cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let from = mailbox(&settings.from)?;
        let all = [&settings.to, &settings.cc, &settings.reply_to];
        for address in all.into_iter().flatten() {
            mailbox(address)?;
        }
        let transport = settings
            .host
            .as_deref()
            .map(|host| transport(host, &settings))
            .transpose()?;
        let signer = settings
            .signature
            .as_ref()
            .map(|(path, password)| Signer::read(path, password.as_ref(), from.email.as_ref()));
        Ok(Self {
            signer: signer.transpose()?,
            settings,
            from,
            transport,
        })
    }

    /// # Errors
    /// When it cannot be written, or the server does not take it.
    pub async fn send(&self, mail: &Mail) -> Result<(), Error> {
        let message = self.message(mail)?;
        let Some(transport) = &self.transport else {
            let text = String::from_utf8_lossy(&message.formatted()).into_owned();
            tracing::info!(target: "dsf::mail", "mail.host is not set; not sent:\n{text}");
            return Ok(());
        };
        transport.send(message).await?;
        Ok(())
    }

    fn message(&self, mail: &Mail) -> Result<Message, Error> {
        let to = mail.to.as_ref().unwrap_or(&self.settings.to);
        let cc = mail.cc.as_ref().unwrap_or(&self.settings.cc);
        let reply_to = mail.reply_to.as_ref().unwrap_or(&self.settings.reply_to);
        if to.is_empty() {
            return Err(Error::NoReceiver);
        }
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(mail.subject.as_str());
        for address in to {
            message = message.to(mailbox(address)?);
        }
        for address in cc {
            message = message.cc(mailbox(address)?);
        }
        for address in &mail.bcc {
            message = message.bcc(mailbox(address)?);
        }
        for address in reply_to {
            message = message.reply_to(mailbox(address)?);
        }
        let content = content(mail)?;
        Ok(match &self.signer {
            Some(signer) => message.multipart(signer.signed(content)?)?,
            None => match content {
                Content::Part(part) => message.singlepart(part)?,
                Content::Parts(parts) => message.multipart(parts)?,
            },
        })
    }
}

/// What a mail holds.
enum Content {
    Part(SinglePart),
    Parts(MultiPart),
}

fn content(mail: &Mail) -> Result<Content, Error> {
    let text = SinglePart::plain(mail.text.clone().unwrap_or_default());
    let body = match &mail.html {
        Some(html) => {
            let html = SinglePart::html(html.clone());
            Content::Parts(MultiPart::alternative().singlepart(text).singlepart(html))
        }
        None => Content::Part(text),
    };
    if mail.attachments.is_empty() {
        return Ok(body);
    }
    let mixed = MultiPart::mixed();
    let mut mixed = match body {
        Content::Part(part) => mixed.singlepart(part),
        Content::Parts(parts) => mixed.multipart(parts),
    };
    for file in &mail.attachments {
        let kind = ContentType::parse(&file.media_type)
            .map_err(|_| Error::MediaType(file.media_type.clone()))?;
        mixed =
            mixed.singlepart(Attachment::new(file.name.clone()).body(file.content.clone(), kind));
    }
    Ok(Content::Parts(mixed))
}

fn mailbox(address: &str) -> Result<Mailbox, Error> {
    address
        .parse()
        .map_err(|_| Error::Address(address.to_owned()))
}

fn transport(host: &str, settings: &Settings) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
    let (port, tls) = match settings.encryption {
        Encryption::Tls => (465, Tls::Wrapper(parameters(host, settings)?)),
        Encryption::StartTls => (587, Tls::Required(parameters(host, settings)?)),
        Encryption::None => (25, Tls::None),
    };
    builder = builder
        .port(settings.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(PATIENCE));
    if let Some(name) = &settings.username {
        let password = settings.password.as_ref().map_or("", Secret::expose);
        builder = builder.credentials(Credentials::new(name.clone(), password.to_owned()));
    }
    Ok(builder.build())
}

fn parameters(host: &str, settings: &Settings) -> Result<TlsParameters, Error> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(files) = &settings.identity {
        let (chain, key) = files.load()?.to_pem()?;
        builder = builder.identify_with(Identity::from_pem(&chain, &key)?);
    }
    if let Some(path) = &settings.server_cas {
        builder = builder.certificate_store(CertificateStore::None);
        for certificate in pem::certificates(path)? {
            let der = certificate.to_der().unwrap_or_default();
            builder = builder.add_root_certificate(Certificate::from_der(der)?);
        }
    }
    Ok(builder.build()?)
}

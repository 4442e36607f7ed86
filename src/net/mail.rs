//! Mail by SMTP; without a server, mails are written to the log.

use std::path::PathBuf;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use crate::kernel::Secret;
use crate::net::pem;

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
    #[error(transparent)]
    Authorities(#[from] pem::Error),
}

/// Sends mail.
pub struct Mailer {
    settings: Settings,
    from: Mailbox,
    transport: Option<AsyncSmtpTransport<Tokio1Executor>>,
}

impl Mailer {
    /// # Errors
    /// When an address or the trusted certificates cannot be used.
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
        Ok(Self {
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
        let text = SinglePart::plain(mail.text.clone().unwrap_or_default());
        let body = match &mail.html {
            Some(html) => {
                let html = SinglePart::html(html.clone());
                Body::Parts(MultiPart::alternative().singlepart(text).singlepart(html))
            }
            None => Body::Part(text),
        };
        if mail.attachments.is_empty() {
            return Ok(match body {
                Body::Part(part) => message.singlepart(part)?,
                Body::Parts(parts) => message.multipart(parts)?,
            });
        }
        let mixed = MultiPart::mixed();
        let mut mixed = match body {
            Body::Part(part) => mixed.singlepart(part),
            Body::Parts(parts) => mixed.multipart(parts),
        };
        for file in &mail.attachments {
            let kind = ContentType::parse(&file.media_type)
                .map_err(|_| Error::MediaType(file.media_type.clone()))?;
            mixed = mixed
                .singlepart(Attachment::new(file.name.clone()).body(file.content.clone(), kind));
        }
        Ok(message.multipart(mixed)?)
    }
}

enum Body {
    Part(SinglePart),
    Parts(MultiPart),
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
    if let Some(path) = &settings.server_cas {
        for certificate in pem::certificates(path)? {
            let der = certificate.to_der().unwrap_or_default();
            builder = builder.add_root_certificate(Certificate::from_der(der)?);
        }
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// Takes one mail and answers all that it was told.
    async fn stand_in(listener: TcpListener) -> String {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 ready\r\n").await.unwrap();
        let mut told = String::new();
        let mut content = false;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return told;
            }
            told.push_str(&line);
            let answer: &[u8] = match line.trim_end() {
                "." => b"250 taken\r\n",
                _ if content => continue,
                "DATA" => b"354 go on\r\n",
                "QUIT" => b"221 bye\r\n",
                line if line.starts_with("RCPT TO:<nobody@") => b"550 unknown\r\n",
                _ => b"250 fine\r\n",
            };
            content = answer.starts_with(b"354");
            stream.write_all(answer).await.unwrap();
            if answer.starts_with(b"221") {
                return told;
            }
        }
    }

    fn settings(port: u16) -> Settings {
        Settings {
            host: Some("127.0.0.1".to_owned()),
            port: Some(port),
            encryption: Encryption::None,
            username: None,
            password: None,
            server_cas: None,
            from: "BPE <bpe@hospital.example>".to_owned(),
            to: vec!["admin@hospital.example".to_owned()],
            cc: vec!["office@hospital.example".to_owned()],
            reply_to: Vec::new(),
        }
    }

    /// Spec/bpe.md §10.4: receivers are those of the configuration unless given.
    #[tokio::test]
    async fn a_mail_reaches_the_server_with_its_parts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mailer = Mailer::new(settings(listener.local_addr().unwrap().port())).unwrap();
        let heard = tokio::spawn(stand_in(listener));
        let mail = Mail {
            subject: "report".to_owned(),
            text: Some("see below".to_owned()),
            attachments: vec![File {
                name: "report.csv".to_owned(),
                media_type: "text/csv".to_owned(),
                content: b"a;b\n".to_vec(),
            }],
            bcc: vec!["archive@hospital.example".to_owned()],
            ..Mail::default()
        };
        mailer.send(&mail).await.unwrap();
        drop(mailer);
        let heard = heard.await.unwrap();
        for part in [
            "MAIL FROM:<bpe@hospital.example>",
            "RCPT TO:<admin@hospital.example>",
            "RCPT TO:<office@hospital.example>",
            "RCPT TO:<archive@hospital.example>",
            "Subject: report",
            "see below",
            "filename=\"report.csv\"",
        ] {
            assert!(heard.contains(part), "{part} is missing in {heard}");
        }
        assert!(!heard.contains("Bcc:"), "{heard}");
    }

    #[tokio::test]
    async fn what_the_server_refuses_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mailer = Mailer::new(settings(listener.local_addr().unwrap().port())).unwrap();
        tokio::spawn(stand_in(listener));
        let mail = Mail {
            to: Some(vec!["nobody@hospital.example".to_owned()]),
            ..Mail::default()
        };
        let error = mailer.send(&mail).await.unwrap_err().to_string();
        assert!(error.contains("unknown"), "{error}");
        let wrong = Mail {
            to: Some(vec!["no address".to_owned()]),
            ..Mail::default()
        };
        assert!(matches!(mailer.send(&wrong).await, Err(Error::Address(_))));
    }
}

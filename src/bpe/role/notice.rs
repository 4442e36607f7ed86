//! Mails to administrators: one at the start, to see that mail works, and those about errors in the
//! log (spec/bpe.md §10.4).

use std::sync::Arc;
use std::time::Duration;

use crate::kernel::Shutdown;
use crate::kernel::alarm::{Alarm, Errors};
use crate::net::mail::{Mail, Mailer};

/// The target of what goes wrong with mail: no mail is sent about that.
const MAIL_LOG: &str = "dsf::mail";
/// Own mail, and what is about patients, stay out of mails.
const SILENT: &[&str] = &[MAIL_LOG, "dsf::net::mail", "lettre", "dsf::data"];
/// Errors that come this soon after a mail go into one mail together.
const PAUSE: Duration = Duration::from_secs(60);

/// What administrators are told by mail.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub test_on_start: bool,
    pub on_error: Option<OnError>,
}

/// How errors are told.
#[derive(Clone, Debug)]
pub struct OnError {
    /// Lines of the log before each error.
    pub lines: usize,
    /// Where the whole log is.
    pub location: Option<String>,
}

/// Who writes to administrators.
pub(super) struct Writer {
    pub mailer: Arc<Mailer>,
    /// The identifier of the own organisation.
    pub organization: String,
}

impl Writer {
    /// Begins with it.
    pub(super) fn start(self, settings: &Settings, alarm: &Alarm, shutdown: &Shutdown) {
        let writer = Arc::new(self);
        if settings.test_on_start {
            let writer = Arc::clone(&writer);
            shutdown.spawn(async move { writer.test().await });
        }
        if let Some(on_error) = &settings.on_error {
            let errors = alarm.listen(on_error.lines, SILENT);
            let (location, begun) = (on_error.location.clone(), shutdown.clone());
            shutdown.spawn(async move {
                tokio::select! {
                    () = writer.tell(errors, location) => {}
                    () = begun.begun() => {}
                }
            });
        }
    }

    async fn test(&self) {
        let text = format!(
            "The process engine of {} has started, and its mail arrives.\n",
            self.organization
        );
        if self.send("DSF BPE Test Mail", text).await {
            tracing::info!(target: MAIL_LOG, "the test mail was sent");
        }
    }

    /// Tells of errors for ever.
    async fn tell(&self, mut errors: Errors, location: Option<String>) {
        loop {
            let lines = errors.next().await.join("\n");
            let mut text = format!("In the log of {}:\n\n{lines}\n", self.organization);
            if let Some(location) = &location {
                text += &format!("\nThe whole log: {location}\n");
            }
            self.send("DSF BPE Error", text).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether the mail was sent.
    async fn send(&self, subject: &str, text: String) -> bool {
        let mail = Mail {
            subject: subject.to_owned(),
            text: Some(text),
            ..Mail::default()
        };
        let sent = self.mailer.send(&mail).await;
        if let Err(error) = &sent {
            tracing::error!(target: MAIL_LOG, "'{subject}': {error}");
        }
        sent.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::net::mail::testing::{settings, stand_in};

    fn on_error() -> Settings {
        Settings {
            test_on_start: false,
            on_error: Some(OnError {
                lines: 1,
                location: Some("journalctl -u dsf".to_owned()),
            }),
        }
    }

    /// A writer, and the place where the mail arrives.
    async fn writer() -> (Writer, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let writer = Writer {
            mailer: Arc::new(Mailer::new(settings(port)).unwrap()),
            organization: "hospital.example".to_owned(),
        };
        (writer, listener)
    }

    /// Spec/bpe.md §10.4: `sendTestMailOnStartup`.
    #[tokio::test]
    async fn a_start_is_told_to_those_who_want_a_test_mail() {
        let (writer, listener) = writer().await;
        let wanted = Settings {
            test_on_start: true,
            on_error: None,
        };
        writer.start(&wanted, &Alarm::default(), &Shutdown::new());
        let told = stand_in(listener).await;
        for part in [
            "Subject: DSF BPE Test Mail",
            "RCPT TO:<admin@hospital.example>",
            "hospital.example has started",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }

    /// Spec/bpe.md §10.4: `sendMailOnErrorLogEvent`, `mailOnErrorLogEventBufferSize` and
    /// `mailOnErrorLogEventDebugLogLocation`.
    #[tokio::test]
    async fn an_error_in_the_log_is_mailed_with_the_lines_before_it() {
        let alarm = Alarm::default();
        let _logs =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(alarm.clone()));
        let (writer, listener) = writer().await;
        let shutdown = Shutdown::new();
        writer.start(&on_error(), &alarm, &shutdown);
        tracing::info!("too long ago");
        tracing::debug!(target: "dsf::data", "about a patient");
        tracing::warn!("a partner is slow");
        tracing::error!(process = "ping", "a process failed");
        // Long lines are folded on the way.
        let told = stand_in(listener).await.replace("=\r\n", "");
        shutdown.begin();
        for part in [
            "Subject: DSF BPE Error",
            "a partner is slow",
            "ERROR dsf::bpe::role::notice::tests: a process failed",
            "The whole log: journalctl -u dsf",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert!(
            !told.contains("long ago") && !told.contains("patient"),
            "{told}"
        );
    }

    /// Spec/bpe.md §10.4: own mail errors are not recursive.
    #[tokio::test]
    async fn a_mail_that_cannot_be_sent_is_no_reason_for_another() {
        let alarm = Alarm::default();
        let _logs =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(alarm.clone()));
        let (writer, listener) = writer().await;
        drop(listener);
        let mut errors = alarm.listen(1, SILENT);
        writer.test().await;
        tracing::error!("another");
        let told = errors.next().await;
        assert!(told.len() == 1 && told[0].contains("another"), "{told:?}");
    }
}

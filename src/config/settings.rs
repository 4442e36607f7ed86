//! What the floors below are told: their settings, built from the keys.

#[cfg(feature = "bpe")]
use crate::config::Encryption;
use crate::config::keys::{Client, Tls};
use crate::config::{ClientCertificate, Config, RevocationList, WithoutList};
use crate::kernel::telemetry;
use crate::net::pem::KeyFiles;
use crate::net::{http, tls};
use crate::store;

impl Config {
    #[must_use]
    pub fn telemetry(&self) -> telemetry::Settings {
        telemetry::Settings {
            format: self.log.format,
            level: self.log.level.0.clone(),
        }
    }

    #[must_use]
    pub fn store(&self) -> store::Settings {
        store::Settings {
            url: self
                .database
                .url
                .as_ref()
                .map(|url| url.expose().to_owned()),
            data_dir: self.database.data_dir.0.clone(),
            bin_dir: self
                .database
                .bin_dir
                .as_ref()
                .map(|folder| folder.0.clone()),
            pool_size: self.database.pool_size.into(),
            ..store::Settings::default()
        }
    }
}

#[cfg(feature = "fhir")]
impl Config {
    /// The mailbox; `None` unless the FHIR role was asked for.
    #[must_use]
    pub fn mailbox(&self) -> Option<crate::fhir::Settings> {
        let role = self.fhir_role.as_ref()?;
        let path = |file: &crate::config::InputFile| file.0.clone();
        Some(crate::fhir::Settings {
            base_url: role.base_url.as_str().trim_end_matches('/').to_owned(),
            listen: self.fhir.listen,
            organization: self.organization.identifier.clone(),
            tls: role.tls.acceptor(self.client.as_ref()),
            trusted_proxies: match role.tls.client_certificate {
                ClientCertificate::Required => Vec::new(),
                ClientCertificate::Proxy => self.fhir.trusted_proxies.clone(),
            },
            initial_bundle: self.fhir.initial_bundle.as_ref().map(path),
            client_certificate: self.client.as_ref().map(|client| path(&client.certificate)),
            page_count: usize::try_from(self.fhir.page_count).unwrap_or(20),
            max_body_size: self.fhir.max_body_size.0,
            extra: self.extra_interactions(),
            validation: crate::fhir::Validation::On,
            audit: self.audit_trail(),
            limits: crate::fhir::Limits {
                rate: self.fhir.max_request_rate,
                connections: self.fhir.max_connections,
                parallel: self.fhir.max_parallel_requests,
            },
        })
    }
}

#[cfg(feature = "fhir")]
impl Config {
    fn extra_interactions(&self) -> crate::fhir::ExtraInteractions {
        use crate::config::ExtraInteraction::{SearchByPost, Validate};
        let extra = &self.fhir.extra_interactions;
        crate::fhir::ExtraInteractions {
            validate: extra.contains(&Validate),
            search_by_post: extra.contains(&SearchByPost),
        }
    }

    fn audit_trail(&self) -> crate::fhir::audit::Settings {
        use crate::config::AuditReads;
        use crate::fhir::audit::Reads;
        crate::fhir::audit::Settings {
            reads: match self.audit.reads {
                AuditReads::Others => Reads::Others,
                AuditReads::All => Reads::All,
                AuditReads::None => Reads::None,
            },
            keep: jiff::SignedDuration::from_hours(24 * i64::from(self.audit.keep_days)),
        }
    }
}

#[cfg(feature = "bpe")]
impl Config {
    /// The engine; `None` unless the BPE role was asked for.
    #[must_use]
    pub fn engine(&self) -> Option<crate::bpe::role::Settings> {
        let role = self.bpe_role.as_ref()?;
        Some(crate::bpe::role::Settings {
            organization: self.organization.identifier.clone(),
            fhir_base_url: role.fhir_base_url.as_str().trim_end_matches('/').to_owned(),
            client: role.client.http(),
            plugin_dir: self.bpe.plugin_dir.as_ref().map(|folder| folder.0.clone()),
            fhir_connections: self
                .bpe
                .fhir_connections
                .as_ref()
                .map(|file| file.0.clone()),
            mail: self.mail.as_ref()?.settings(),
            notice: self.mail.as_ref()?.notice(),
            limits: crate::bpe::plugin::runner::Limits {
                compute: self.bpe.compute_limit,
                ..crate::bpe::plugin::runner::Limits::default()
            },
            deploy: crate::bpe::plugin::deploy::Settings {
                retired: self.bpe.retired.clone(),
                excluded: self.bpe.excluded.clone(),
            },
            runtime: crate::bpe::runtime::Settings {
                grace: self.bpe.message_grace,
                send_deadline: self.bpe.send_deadline,
                threads: self.bpe.threads.into(),
                history_days: self.bpe.history_days.into(),
                ..crate::bpe::runtime::Settings::default()
            },
        })
    }
}

#[cfg(feature = "bpe")]
impl crate::config::keys::Mail {
    #[must_use]
    pub fn settings(&self) -> crate::net::mail::Settings {
        use crate::net::mail::Encryption as Way;
        crate::net::mail::Settings {
            host: self.host.clone(),
            port: self.port,
            encryption: match self.encryption {
                Encryption::Tls => Way::Tls,
                Encryption::StartTls => Way::StartTls,
                Encryption::None => Way::None,
            },
            username: self.username.clone(),
            password: self.password.clone(),
            server_cas: self.server_cas.as_ref().map(|path| path.0.clone()),
            identity: self
                .client_certificate
                .as_ref()
                .zip(self.client_private_key.as_ref())
                .map(|(certificate, private_key)| KeyFiles {
                    certificate: certificate.0.clone(),
                    private_key: private_key.0.clone(),
                    password: self.client_private_key_password.clone(),
                }),
            signature: self
                .smime_keystore
                .as_ref()
                .map(|file| (file.0.clone(), self.smime_keystore_password.clone())),
            from: self.from.clone(),
            to: self.to.clone(),
            cc: self.cc.clone(),
            reply_to: self.reply_to.clone(),
        }
    }

    #[must_use]
    pub fn notice(&self) -> crate::bpe::role::notice::Settings {
        use crate::bpe::role::notice::{OnError, Settings};
        Settings {
            test_on_start: self.test_on_start,
            on_error: self.on_error.then(|| OnError {
                lines: self.on_error_lines.into(),
                location: self.on_error_location.clone(),
            }),
        }
    }
}

impl Tls {
    #[must_use]
    pub fn acceptor(&self, client: Option<&Client>) -> tls::Settings {
        tls::Settings {
            revocation: self.revocation(),
            // Lists are signed and public: nobody need know who fetches them.
            fetch: http::Settings {
                identity: None,
                server_cas: None,
                ..client.map(Client::http).unwrap_or_default()
            },
            server: KeyFiles {
                certificate: self.certificate.0.clone(),
                private_key: self.private_key.0.clone(),
                password: self.private_key_password.clone(),
            },
            client_cas: Some(self.client_cas.0.clone()),
            client_certificate: match self.client_certificate {
                ClientCertificate::Required => tls::ClientCertificate::Required,
                ClientCertificate::Proxy => tls::ClientCertificate::Ignored,
            },
        }
    }
}

impl Tls {
    fn revocation(&self) -> Option<tls::Revocation> {
        let source = |list: &RevocationList| match list {
            RevocationList::Path(path) => tls::Source::Path(path.clone()),
            RevocationList::Url(url) => tls::Source::Url(url.clone()),
        };
        (!self.revocation_lists.is_empty()).then(|| tls::Revocation {
            sources: self.revocation_lists.iter().map(source).collect(),
            without_list: match self.revocation_without_list {
                WithoutList::Accept => tls::WithoutList::Accept,
                WithoutList::Refuse => tls::WithoutList::Refuse,
            },
            refresh: self.revocation_refresh,
        })
    }
}

impl Client {
    #[must_use]
    pub fn http(&self) -> http::Settings {
        http::Settings {
            identity: Some(KeyFiles {
                certificate: self.certificate.0.clone(),
                private_key: self.private_key.0.clone(),
                password: self.private_key_password.clone(),
            }),
            server_cas: self.server_cas.as_ref().map(|path| path.0.clone()),
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
            proxy: self.proxy.as_ref().map(|url| http::Proxy {
                url: url.to_string(),
                username: self.proxy_username.clone(),
                password: self.proxy_password.clone(),
                except: self.proxy_except.clone(),
            }),
            ..http::Settings::default()
        }
    }
}

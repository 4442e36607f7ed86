//! Real reverse proxies in front, in the three set-ups of hospitals (`spec/auth-config.md` §1.1, §1.7):
//! TLS ends at the proxy, which hands the certificate over in `X-ClientCert`; an outer proxy passes
//! TCP through; one chooses by the name in the handshake. Proxies that are not installed are skipped
//! loudly; `apt-get install nginx-light libnginx-mod-stream apache2-bin haproxy` brings all.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dsf::net::websocket::Event;

use super::harness::material::skipped;
use super::harness::world::free_port;
use super::harness::{Client, Launch, Listener, Process, Server, World, until};

const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy at work; it ends with this.
struct Proxy {
    port: u16,
    child: Child,
    log: PathBuf,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx's workers and httpd's children end with their parent's SIGTERM.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- log of the proxy\n{log}");
        }
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        skipped(&format!(
            "{name} is not installed, nothing is known about it in front of a node"
        ));
    }
    found
}

impl Proxy {
    /// Starts a proxy whose configuration asks for `{port}`, `{node}`, `{home}`, and waits until it
    /// answers.
    async fn start(server: &Server, name: &str, arguments: &[&str], config: &str) -> Option<Self> {
        let program = program(name)?;
        let port = free_port();
        let home = server.world.path(&format!("{name}-{port}"));
        std::fs::create_dir_all(&home).unwrap();
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string())
                .replace("{node}", &server.port.to_string())
                .replace("{home}", &home.display().to_string())
                .replace("{world}", &server.world.folder.display().to_string())
        };
        std::fs::write(home.join("proxy.conf"), fill(config)).unwrap();
        let both = ["crt", "key"].map(|end| {
            std::fs::read_to_string(server.world.path(&format!("server.{end}"))).unwrap()
        });
        std::fs::write(home.join("both.pem"), both.concat()).unwrap();
        let log = home.join("log");
        let out = std::fs::File::create(&log).unwrap();
        let child = Command::new(program)
            .args(arguments.iter().map(|argument| fill(argument)))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let proxy = Self { port, child, log };
        until("the proxy listens", PATIENCE, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        Some(proxy)
    }

    fn client(&self, world: &World, name: &str) -> Client {
        Client::new(
            world,
            Some(name),
            &format!("https://localhost:{}/fhir", self.port),
        )
    }
}

/// What must be the same through every proxy.
async fn everything_works_through(proxy: &Proxy, server: &Server, ends_tls: bool) {
    let world = &server.world;
    let [local, external, unknown] =
        ["local", "external", "unknown"].map(|name| proxy.client(world, name));
    assert_eq!(external.get("metadata").await.status, 200);
    let refused = unknown.get("metadata").await;
    assert_eq!((refused.status, refused.body.len()), (403, 0));
    let process = Process::deploy(&local).await;
    let task = external
        .create(&process.task("External_Organization"))
        .await;
    let seen = local
        .get(&format!("Task/{}", task["id"].as_str().unwrap()))
        .await;
    assert_eq!(seen.status, 200);

    // A client that brings the header of somebody else is still itself.
    let pem = std::fs::read_to_string(world.path("external.crt")).unwrap();
    let forged = pem.trim().replace('\n', " ");
    let answer = unknown
        .get_with("metadata", &[("x-clientcert", &forged)])
        .await;
    assert_eq!(answer.status, 403, "a forged header: {answer}");
    let escaped = pem
        .replace('\n', "%0A")
        .replace(' ', "%20")
        .replace('+', "%2B");
    let answer = unknown
        .get_with("metadata", &[("x-clientcert", &escaped)])
        .await;
    assert_eq!(answer.status, 403, "a forged header: {answer}");
    for bad in ["expired", "early", "serveronly", "rogue"] {
        let answer = proxy
            .client(world, bad)
            .send("GET", "metadata", &[], "")
            .await;
        // A proxy may answer by itself.
        let status = answer.map(|answer| answer.status);
        assert!(!matches!(status, Ok(200)), "{bad}: {status:?}");
    }

    let mut socket = Listener::open(&local)
        .await
        .expect("a socket through the proxy");
    socket
        .say("bind 00000000-0000-4000-8000-000000000000")
        .await;
    assert!(matches!(
        socket.hear().await,
        Event::Closed {
            code: Some(1003),
            ..
        }
    ));
    if ends_tls {
        // Who reaches the node past the proxy has no certificate there.
        let past = Client::new(world, Some("external"), &server.base_url);
        assert_eq!(past.get("metadata").await.status, 403);
    }
}

async fn behind(proxy: bool) -> Server {
    let world = Arc::new(World::new());
    // A proxy may drop its rights before it reads.
    let launch = Launch::of(&world, "local").elsewhere();
    let launch = match proxy {
        true => launch
            .set("tls.client-certificate=proxy")
            .set("fhir.trusted-proxies=127.0.0.1"),
        false => launch,
    };
    launch.start().await
}

const NGINX_HTTP: &str = r#"
daemon off;
pid {home}/pid;
error_log stderr info;
events {}
http {
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
    server {
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {world}/server.crt;
        ssl_certificate_key {world}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_client_certificate {world}/ca.crt;
        ssl_verify_client on;
        client_max_body_size 0;
        location /fhir {
            proxy_pass https://127.0.0.1:{node};
            proxy_http_version 1.1;
            proxy_set_header X-ClientCert $ssl_client_escaped_cert;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1d;
        }
    }
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
}
"#;

const HTTPD: &str = r#"
ServerRoot {home}
ServerName localhost
PidFile {home}/pid
ErrorLog /dev/stderr
Listen 127.0.0.1:{port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_wstunnel_module /usr/lib/apache2/modules/mod_proxy_wstunnel.so
User nobody
Group nogroup
SSLEngine on
SSLCertificateFile {world}/server.crt
SSLCertificateKeyFile {world}/server.key
SSLCACertificateFile {world}/ca.crt
SSLVerifyClient require
SSLVerifyDepth 3
SSLProxyEngine on
SSLProxyCACertificateFile {world}/ca.crt
RequestHeader unset X-ClientCert
RequestHeader set X-ClientCert %{SSL_CLIENT_CERT}s
ProxyPass /fhir/ws wss://localhost:{node}/fhir/ws
ProxyPass /fhir https://localhost:{node}/fhir
"#;

const HAPROXY_HTTP: &str = r#"
global
    log stderr local0
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1d
frontend partners
    bind 127.0.0.1:{port} ssl crt {home}/both.pem ca-file {world}/ca.crt verify required
    http-request del-header X-ClientCert
    http-request set-header X-ClientCert "-----BEGIN CERTIFICATE----- %[ssl_c_der,base64] -----END CERTIFICATE-----"
    default_backend node
backend node
    server node 127.0.0.1:{node} ssl verify required ca-file {world}/ca.crt verifyhost localhost
"#;

const NGINX_STREAM: &str = r#"
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
pid {home}/pid;
error_log stderr info;
events {}
stream {
    server {
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{node};
        proxy_timeout 1d;
    }
}
"#;

const HAPROXY_SNI: &str = r#"
global
    log stderr local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 1d
    timeout server 1d
frontend outside
    bind 127.0.0.1:{port}
    tcp-request inspect-delay 5s
    tcp-request content accept if { req_ssl_hello_type 1 }
    use_backend node if { req_ssl_sni -i localhost }
backend node
    server node 127.0.0.1:{node}
"#;

#[tokio::test]
async fn nginx_that_ends_tls_hands_the_certificate_over() {
    let server = behind(true).await;
    let arguments = ["-c", "{home}/proxy.conf", "-p", "{home}"];
    if let Some(proxy) = Proxy::start(&server, "nginx", &arguments, NGINX_HTTP).await {
        everything_works_through(&proxy, &server, true).await;
    }
}

#[tokio::test]
async fn httpd_that_ends_tls_hands_the_certificate_over() {
    let server = behind(true).await;
    let arguments = ["-f", "{home}/proxy.conf", "-D", "FOREGROUND"];
    if let Some(proxy) = Proxy::start(&server, "apache2", &arguments, HTTPD).await {
        everything_works_through(&proxy, &server, true).await;
    }
}

#[tokio::test]
async fn haproxy_that_ends_tls_hands_the_certificate_over() {
    let server = behind(true).await;
    let arguments = ["-db", "-f", "{home}/proxy.conf"];
    if let Some(proxy) = Proxy::start(&server, "haproxy", &arguments, HAPROXY_HTTP).await {
        everything_works_through(&proxy, &server, true).await;
    }
}

#[tokio::test]
async fn nginx_in_an_outer_zone_passes_tls_through() {
    let server = behind(false).await;
    let arguments = ["-c", "{home}/proxy.conf", "-p", "{home}"];
    if let Some(proxy) = Proxy::start(&server, "nginx", &arguments, NGINX_STREAM).await {
        everything_works_through(&proxy, &server, false).await;
    }
}

#[tokio::test]
async fn haproxy_in_an_outer_zone_chooses_by_the_name_in_the_handshake() {
    let server = behind(false).await;
    let arguments = ["-db", "-f", "{home}/proxy.conf"];
    if let Some(proxy) = Proxy::start(&server, "haproxy", &arguments, HAPROXY_SNI).await {
        everything_works_through(&proxy, &server, false).await;
    }
}

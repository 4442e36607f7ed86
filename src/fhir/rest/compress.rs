//! Compressed answers, where they help: see docs/adr/0016.
//!
//! The tag of a version is weak, so it is that of all its encodings, and a 304 may answer for any
//! of them. Content of a Binary is never touched: its length and ranges are those of its bytes.
//! Only answers that say that they vary are: a page or file that is to be compressed needs `Vary`.

use std::io::Write;

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::Method;
use actix_web::http::header::{
    AcceptEncoding, CONTENT_ENCODING, CONTENT_TYPE, Encoding, Header, HeaderValue, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;

/// Shorter answers stay as they are. They travel in the first flight of a connection (ten segments
/// of 1,460 bytes, RFC 6928), so that compression would save no round trip.
const MINIMUM: u64 = 14_600;
/// Quick rather than small: the answers are made for one reader each.
const GZIP_LEVEL: u32 = 3;
const BROTLI_QUALITY: i32 = 3;
/// The window of brotli in powers of two; more than a page of a search needs.
const BROTLI_WINDOW: i32 = 20;

/// The same answer, compressed if it is long, of a kind that shrinks, and the client takes it.
pub(super) async fn fit(request: &HttpRequest, answer: HttpResponse) -> HttpResponse {
    if is_short(answer.body().size()) {
        return answer;
    }
    let vary = answer
        .headers()
        .get(VARY)
        .and_then(|vary| vary.to_str().ok());
    let Some(vary) = vary.map(str::to_owned).filter(|_| is_text(&answer)) else {
        return answer;
    };
    let (mut head, body) = answer.into_parts();
    let whole = match body.try_into_bytes() {
        Ok(whole) => whole,
        Err(stream) => return head.set_body(stream),
    };
    if let Ok(vary) = HeaderValue::try_from(format!("{vary}, Accept-Encoding")) {
        head.headers_mut().insert(VARY, vary);
    }
    // The length that HEAD tells is that of the document.
    let coding = Coding::wanted(request).filter(|_| request.method() != Method::HEAD);
    let Some(coding) = coding else {
        return head.set_body(whole).map_into_boxed_body();
    };
    let source = whole.clone();
    match web::block(move || coding.encode(&source)).await {
        Ok(Ok(short)) => {
            let name = HeaderValue::from_static(coding.name());
            head.headers_mut().insert(CONTENT_ENCODING, name);
            head.set_body(Bytes::from(short)).map_into_boxed_body()
        }
        // As it is, it can always be sent.
        Ok(Err(_)) | Err(_) => head.set_body(whole).map_into_boxed_body(),
    }
}

fn is_short(size: BodySize) -> bool {
    match size {
        BodySize::None => true,
        BodySize::Sized(size) => size < MINIMUM,
        BodySize::Stream => false,
    }
}

/// Whether compression is worth the trouble.
fn is_text(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    let Some(kind) = kind.and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || ["json", "xml", "javascript"]
            .iter()
            .any(|ending| essence.ends_with(ending))
        || essence.ends_with("+fhir")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// The best of what `Accept-Encoding` allows; without the header, none.
    fn wanted(request: &HttpRequest) -> Option<Self> {
        let accepted = AcceptEncoding::parse(request).ok()?;
        let known = [Encoding::brotli(), Encoding::gzip(), Encoding::identity()];
        let chosen = accepted.negotiate(known.iter())?;
        [Self::Brotli, Self::Gzip]
            .into_iter()
            .find(|coding| chosen.to_string() == coding.name())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    fn encode(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let room = Vec::with_capacity(bytes.len() / 4);
        match self {
            Self::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                let mut writer = flate2::write::GzEncoder::new(room, level);
                writer.write_all(bytes)?;
                writer.finish()
            }
            Self::Brotli => {
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: BROTLI_WINDOW,
                    size_hint: bytes.len(),
                    ..Default::default()
                };
                let mut short = room;
                brotli::BrotliCompress(&mut &*bytes, &mut short, &parameters)?;
                Ok(short)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    async fn answered(accepted: &str, kind: &str, size: usize) -> (Option<String>, usize, String) {
        let request = TestRequest::default().insert_header(("Accept-Encoding", accepted));
        let answer = HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, kind))
            .insert_header((VARY, "Accept"))
            .body("x".repeat(size));
        let answer = fit(&request.to_http_request(), answer).await;
        let text = |name| {
            let value: Option<&HeaderValue> = answer.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let (coding, vary) = (text(CONTENT_ENCODING), text(VARY).unwrap());
        (
            coding,
            answer.into_body().try_into_bytes().unwrap().len(),
            vary,
        )
    }

    #[actix_web::test]
    async fn long_text_is_sent_in_the_encoding_that_the_client_likes_best() {
        let both = "Accept, Accept-Encoding";
        for (accepted, coding) in [
            ("gzip,deflate", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("br")),
            ("br;q=0.1, gzip;q=0.5", Some("gzip")),
            ("identity", None),
            ("gzip;q=0", None),
            ("zstd", None),
            ("identity;q=0", None),
            ("", None),
        ] {
            let (found, size, vary) = answered(accepted, "application/fhir+json", 20_000).await;
            assert_eq!(
                (found.as_deref(), vary.as_str()),
                (coding, both),
                "{accepted}"
            );
            assert_eq!(size < 20_000, coding.is_some(), "{accepted}");
        }
    }

    #[actix_web::test]
    async fn short_answers_and_other_things_than_text_stay_as_they_are() {
        let accept = "Accept".to_owned();
        let short = answered(
            "gzip",
            "application/fhir+xml;charset=UTF-8",
            MINIMUM as usize - 1,
        )
        .await;
        assert_eq!(short, (None, MINIMUM as usize - 1, accept.clone()));
        let image = answered("gzip", "image/png", 20_000).await;
        assert_eq!(image, (None, 20_000, accept));
    }
}

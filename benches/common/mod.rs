//! What all benchmarks share: a client that costs next to nothing, measuring, printing.

pub mod wire;

use std::future::Future;
use std::time::{Duration, Instant};

/// How long each figure is measured: three seconds, or `SECONDS`.
pub fn period() -> Duration {
    let seconds = std::env::var("SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Lets each worker do one thing after the other, first for a moment to warm up.
pub async fn measure<T, F>(workers: &[T], work: impl Fn(T) -> F) -> Figures
where
    T: Clone,
    F: Future<Output = ()>,
{
    let warm = workers.iter().map(|worker| work(worker.clone()));
    futures_util::future::join_all(warm).await;
    let (begun, period) = (Instant::now(), period());
    let loops = workers.iter().map(|worker| async {
        let mut times = Vec::new();
        while begun.elapsed() < period {
            let started = Instant::now();
            work(worker.clone()).await;
            times.push(started.elapsed());
        }
        times
    });
    let times = futures_util::future::join_all(loops)
        .await
        .into_iter()
        .flatten()
        .collect();
    Figures {
        times,
        whole: begun.elapsed(),
    }
}

/// How long each of many things took, and all of them together.
#[derive(Default)]
pub struct Figures {
    pub times: Vec<Duration>,
    pub whole: Duration,
}

impl Figures {
    pub fn head() {
        println!(
            "{:<42} {:>10} {:>10} {:>10} {:>7} {:>9}",
            "", "per second", "p50 ms", "p99 ms", "ratio", "baseline"
        );
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn rate(&self) -> f64 {
        self.times.len() as f64 / self.whole.as_secs_f64()
    }

    /// A line; with a baseline also the ratio of the rates.
    pub fn print(&self, what: &str, baseline: Option<&Self>) {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = |part: usize| {
            times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3
        };
        let (rate, half, most) = (self.rate(), at(50), at(99));
        let ratio = baseline.map_or(String::new(), |baseline| {
            format!("{:.2}", rate / baseline.rate())
        });
        let bare = baseline.map_or(String::new(), |baseline| format!("{:.0}", baseline.rate()));
        println!("{what:<42} {rate:>10.0} {half:>10.2} {most:>10.2} {ratio:>7} {bare:>9}");
    }
}

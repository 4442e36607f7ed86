//! Measuring and printing.

#![allow(dead_code, reason = "no benchmark prints every kind of line")]

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

    /// Takes those of another run in.
    pub fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.whole += other.whole;
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn rate(&self) -> f64 {
        self.times.len() as f64 / self.whole.as_secs_f64()
    }

    /// A line of which only the rate was measured.
    pub fn print_rate(&self, what: &str, baseline: &Self) {
        let (rate, bare) = (self.rate(), baseline.rate());
        let ratio = rate / bare;
        println!(
            "{what:<42} {rate:>10.0} {:>10} {:>10} {ratio:>7.2} {bare:>9.0}",
            "", ""
        );
    }

    /// A line of which only the times were measured.
    pub fn print_times(&self, what: &str) {
        let (half, most) = (self.at(50), self.at(99));
        println!("{what:<42} {:>10} {half:>10.2} {most:>10.2}", "");
    }

    /// Milliseconds that so many per cent do not exceed.
    fn at(&self, part: usize) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1e3
    }

    /// A line; with a baseline also the ratio of the rates.
    pub fn print(&self, what: &str, baseline: Option<&Self>) {
        let (rate, half, most) = (self.rate(), self.at(50), self.at(99));
        let ratio = baseline.map_or(String::new(), |baseline| {
            format!("{:.2}", rate / baseline.rate())
        });
        let bare = baseline.map_or(String::new(), |baseline| format!("{:.0}", baseline.rate()));
        println!("{what:<42} {rate:>10.0} {half:>10.2} {most:>10.2} {ratio:>7} {bare:>9}");
    }
}

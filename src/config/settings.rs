//! What the floors below are told: their settings, built from the keys.

use crate::config::Config;
use crate::kernel::telemetry;
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

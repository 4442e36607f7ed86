//! The code in force, which changes while instances run.
//!
//! A call that has begun ends with the code it began with; the next one finds the new code. A
//! process whose plugin is gone keeps its instances: a step that needs code is an incident, and
//! goes on when the plugin is back.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

use super::activity::{Activity, Delivery, FormCode, FormMoment, Host, Performance, ProcessId};
use super::host::Plugins;
use super::package::OnFailure;
use crate::r4::Resource;

/// Stands between the runtime and the plugins of the moment.
pub struct Installed(ArcSwap<Plugins>);

impl Installed {
    #[must_use]
    pub fn new(plugins: Plugins) -> Self {
        Self(ArcSwap::from_pointee(plugins))
    }

    /// Puts other plugins in force.
    pub fn replace(&self, plugins: Plugins) {
        self.0.store(Arc::new(plugins));
    }
}

impl Installed {
    /// Those in force now.
    #[must_use]
    pub fn current(&self) -> Arc<Plugins> {
        self.0.load_full()
    }
}

#[async_trait]
impl Host for Installed {
    async fn perform(&self, activity: Activity) -> Performance {
        let plugins = self.0.load_full();
        plugins.perform(activity).await
    }

    fn on_failure(&self, process: &ProcessId) -> OnFailure {
        let plugins = self.0.load();
        if plugins.brings(process) {
            plugins.on_failure(process)
        } else {
            OnFailure::Incident
        }
    }

    async fn delivered(&self, activity: Activity, delivery: Delivery) -> Performance {
        let plugins = self.0.load_full();
        plugins.delivered(activity, delivery).await
    }

    fn form_code(&self, process: &ProcessId, class: &str) -> Option<FormCode> {
        self.0.load().form_code(process, class)
    }

    async fn form(
        &self,
        activity: Activity,
        moment: FormMoment,
        form: Resource,
    ) -> (Performance, Resource) {
        let plugins = self.0.load_full();
        plugins.form(activity, moment, form).await
    }
}

//! The way from the root to an element, for messages and for rules that ask what is around.

use crate::fhir::validate::spot::Spot;
use crate::r4::table::Element;

#[derive(Clone, Copy)]
pub struct Trail<'t> {
    parent: Option<&'t Self>,
    step: Step<'t>,
    pub spot: Spot<'t>,
}

#[derive(Clone, Copy)]
enum Step<'t> {
    Root(&'t str),
    Child(&'t Element, Option<usize>),
}

impl<'t> Trail<'t> {
    pub fn root(spot: Spot<'t>) -> Self {
        Self {
            parent: None,
            step: Step::Root(spot.type_name),
            spot,
        }
    }

    pub fn child(&'t self, element: &'t Element, index: usize, spot: Spot<'t>) -> Self {
        Self {
            parent: Some(self),
            step: Step::Child(element, element.is_list.then_some(index)),
            spot,
        }
    }

    pub fn parent(&self) -> Option<&'t Self> {
        self.parent
    }

    /// The JSON name of the last step.
    pub fn name(&self) -> &str {
        match self.step {
            Step::Root(name) => name,
            Step::Child(element, _) => &element.name,
        }
    }

    /// As FHIRPath: `Task.input[0].value.ofType(string)`.
    pub fn expression(&self) -> String {
        let mut text = self.parent.map(Self::expression).unwrap_or_default();
        match self.step {
            Step::Root(name) => text.push_str(name),
            Step::Child(element, index) => {
                text.push('.');
                match element.defined_name.strip_suffix("[x]") {
                    Some(stem) => {
                        text.push_str(stem);
                        text.push_str(&format!(".ofType({})", element.type_name));
                    }
                    None => text.push_str(&element.name),
                }
                if let Some(index) = index {
                    text.push_str(&format!("[{index}]"));
                }
            }
        }
        text
    }

    /// As definitions name it, within its resource: `Task.output`.
    pub fn defined(&self) -> String {
        match (self.step, self.parent) {
            (Step::Root(name), _) => name.to_owned(),
            _ if self.is_resource() => self.spot.type_name.to_owned(),
            (Step::Child(element, _), Some(parent)) => {
                format!("{}.{}", parent.defined(), element.defined_name)
            }
            (Step::Child(element, _), None) => element.defined_name.to_owned(),
        }
    }

    pub fn is_resource(&self) -> bool {
        self.spot
            .value
            .is_some_and(|value| value.get("resourceType").is_some())
    }
}

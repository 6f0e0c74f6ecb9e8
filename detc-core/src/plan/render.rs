//! Plans for people and programs: text, JSON, graphs.
use super::Plan;
use std::io::{self, Write};
/// Colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// No.
    #[default]
    Never,
    /// Yes.
    Always,
}
/// Options.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TextOptions {
    /// Colours.
    pub color: Color,
}
/// Text.
pub fn text(plan: &Plan, _: &TextOptions) -> String {
    format!("{:?} {} actions\n", plan.counts(), plan.actions.len())
}
/// JSON.
pub fn json(plan: &Plan, _: &[crate::model::ResourceId], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(out, plan)?;
    Ok(())
}
/// Format.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum GraphFormat {
    /// dot
    Dot,
    /// mermaid
    Mermaid,
    /// svg
    Svg,
}
/// Graph.
pub fn graph(_: &Plan, _: GraphFormat) -> String {
    String::new()
}

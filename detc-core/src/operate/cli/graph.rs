//! `graph`: draw a plan.

use serde_json::json;

use super::args::{Drawing, GraphArgs};
use super::error::Failed;
use super::open::{Access, Session};
use super::output::Output;
use super::{DONE, plan, progress};
use crate::plan::render::{self, GraphFormat};
use crate::plan::{Plan, Selection, file};

pub(super) async fn run(session: Session, args: GraphArgs, output: &Output) -> Result<u8, Failed> {
    if let Some(path) = &args.plan {
        draw(&file::open(path)?.plan, args.format, output)?;
        return Ok(DONE);
    }
    let (desired, manager) = session.open(Access::Look).await?;
    let planned = manager.plan_with(&desired, &Selection::all(), &mut progress::looking(output)).await?;
    draw(&planned.plan, args.format, output)?;
    plan::leave(manager, (desired, planned), output).await?;
    Ok(DONE)
}

fn draw(plan: &Plan, format: Drawing, output: &Output) -> Result<(), Failed> {
    let (language, format) = match format {
        Drawing::Dot => ("dot", GraphFormat::Dot),
        Drawing::Mermaid => ("mermaid", GraphFormat::Mermaid),
        Drawing::Svg => ("svg", GraphFormat::Svg),
    };
    let drawn = render::graph(plan, format);
    if output.json {
        return output.object(&json!({ "format": "detc.graph/1", "language": language, "graph": drawn }));
    }
    output.result(|out| out.write_all(drawn.as_bytes()))
}

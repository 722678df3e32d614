//! The table, the files and the plot of an experiment's results.

use serde_json::json;
use train::experiment::{Results, plot};
use train::plots::save_png;

use super::session::Session;
use crate::console::{note, print, print_json, table};
use crate::failure::{Failure, Result};

/// The name of the plot.
const PLOT: &str = "results.png";

/// Prints the results so far and writes `results.csv`, `results.json`, `results.md` and `results.png`.
pub fn write(session: &Session<'_>) -> Result<()> {
    let results = Results::of(session.experiment, session.budget, session.inputs()?);
    let path = |name: &str| session.folder.join(name);
    let json =
        serde_json::to_string_pretty(&results).map_err(|e| Failure::Failed(format!("cannot write JSON: {e}")))?;
    files::replace_bytes(&path("results.json"), json.as_bytes())?;
    files::replace_bytes(&path("results.csv"), &results.csv()?)?;
    files::replace_bytes(&path("results.md"), results.markdown(PLOT).as_bytes())?;
    save_png(&plot(session.experiment, &results), &path(PLOT))?;
    if session.as_json {
        return print_json(&json!({ "folder": session.folder.display().to_string(), "results": results }));
    }
    print(&table(&results.table()))?;
    note(&format!("the results are in {}: results.md, .csv, .json and .png", session.folder.display()));
    Ok(())
}

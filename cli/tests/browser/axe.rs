//! Accessibility by axe-core, whose script `AXE_SCRIPT` names.

use crate::chromium::{Browser, say};

/// Checks that the open page has no serious or critical fault.
pub fn check(browser: &mut Browser) {
    let Some(path) = std::env::var_os("AXE_SCRIPT") else {
        let is_required = std::env::var("ALEXNET_BROWSER").is_ok_and(|value| value == "required");
        assert!(!is_required, "ALEXNET_BROWSER=required, but AXE_SCRIPT names no axe.min.js");
        say("skipped: AXE_SCRIPT names no axe.min.js, so the accessibility of pages is not tested; see .ci/axe");
        return;
    };
    let script = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    browser.evaluate(&format!("{script}; true"));
    let found = browser.evaluate(
        "axe.run().then(found => ({ passes: found.passes.length, faults: found.violations
            .filter(fault => ['serious', 'critical'].includes(fault.impact))
            .map(fault => [fault.id, fault.help, ...fault.nodes.map(node => node.html.slice(0, 200))].join(' | ')) }))",
    );
    assert!(found["passes"].as_u64().unwrap() > 10, "{found}");
    assert_eq!(found["faults"].as_array().map(Vec::len), Some(0), "{found:#}");
}

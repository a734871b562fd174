//! Embeds the web client's build (`control-plane/web/dist`), or a page that says how to make one.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let web = manifest.join("../web");
    let built = web.join("dist");
    println!("cargo::rerun-if-changed={}", web.display());
    println!("cargo::rerun-if-changed=build.rs");

    let assets = if built.join("index.html").is_file() { built } else { placeholder(&out) };
    // What is embedded is no news at every build.
    let quiet = |_: &str| {};
    let list = memory_serve::assets_to_code(&assets.to_string_lossy(), &assets, &out, true, quiet);
    fs::write(out.join("memory_serve_assets.rs"), format!("&[(\"default\", {list})]"))
        .expect("OUT_DIR is writable");
}

/// A folder with one page.
fn placeholder(out: &Path) -> PathBuf {
    let folder = out.join("placeholder");
    fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    let page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sluice</title>\
        <body><h1>Sluice is running</h1><p>The web client was not built into this program. Build it with \
        <code>scripts/build</code> and start again.</p></body></html>";
    fs::write(folder.join("index.html"), page).expect("OUT_DIR is writable");
    folder
}

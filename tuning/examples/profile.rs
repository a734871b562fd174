//! Prints the sysctl.d file: `cargo run --quiet -p tuning --example profile > systemd/30-sluice.conf`.

fn main() {
    print!("{}", tuning::render());
}

//! `monolith-tui`: the console of a Monolith server, for whoever sits at a terminal.
//! It only decides the exit code; everything else is in the library.

fn main() -> std::process::ExitCode {
    monolith_tui::main()
}

fn main() -> std::process::ExitCode {
    dsf::cli::main()
}

/// Requests are many small allocations; the allocator of the C library spends a sixth of a create.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    dsf::cli::main()
}

internal import CLI

/// The kubectl plugin.
@main
enum Main {
    static func main() async { await Plugin.main() }
}

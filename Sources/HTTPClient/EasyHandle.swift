internal import CLibCurl

/// The one owner of a libcurl easy handle and of the lists it points to.
@safe
struct EasyHandle: ~Copyable {
    let raw: UnsafeMutableRawPointer
    private var lists: [UnsafeMutablePointer<curl_slist>] = unsafe []
    private let errorText: UnsafeMutablePointer<CChar>

    /// libcurl wants this once per process, before anything else.
    static let isLibraryReady: Bool = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    init?() {
        guard Self.isLibraryReady, let raw = unsafe curl_easy_init() else { return nil }
        unsafe self.raw = raw
        unsafe self.errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe self.errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        _ = unsafe drover_easy_setopt_pointer(raw, CURLOPT_ERRORBUFFER, UnsafeMutableRawPointer(self.errorText))
    }

    deinit {
        unsafe curl_easy_cleanup(self.raw)
        for index in unsafe self.lists.indices {
            unsafe curl_slist_free_all(self.lists[index])
        }
        unsafe self.errorText.deallocate()
    }

    /// libcurl's words about the last failure.
    var errorMessage: String { unsafe String(cString: self.errorText) }

    /// Sets options and remembers the first one that was refused.
    private(set) var refused: CURLcode = CURLE_OK

    mutating func set(_ option: CURLoption, _ value: Int) {
        self.note(unsafe drover_easy_setopt_long(self.raw, option, value))
    }

    mutating func set(_ option: CURLoption, offset value: Int) {
        self.note(unsafe drover_easy_setopt_off(self.raw, option, curl_off_t(value)))
    }

    /// libcurl copies the string.
    mutating func set(_ option: CURLoption, _ value: String?) {
        if let value {
            let code = unsafe value.withCString { unsafe drover_easy_setopt_string(self.raw, option, $0) }
            self.note(code)
        } else {
            self.note(unsafe drover_easy_setopt_string(self.raw, option, nil))
        }
    }

    mutating func set(_ option: CURLoption, blob value: String) {
        var value = value
        let code = value.withUTF8 { bytes in
            guard let base = unsafe UnsafeRawPointer(bytes.baseAddress) else { return CURLE_BAD_FUNCTION_ARGUMENT }
            return unsafe drover_easy_setopt_blob(self.raw, option, base, bytes.count)
        }
        self.note(code)
    }

    /// Gives libcurl a list that lives as long as the handle.
    mutating func set(_ option: CURLoption, list values: [String]) {
        var list: UnsafeMutablePointer<curl_slist>?
        for value in values {
            let longer = unsafe value.withCString { unsafe curl_slist_append(list, $0) }
            guard let longer = unsafe longer else {
                self.note(CURLE_OUT_OF_MEMORY)
                break
            }
            unsafe list = longer
        }
        guard let list = unsafe list else { return }
        unsafe self.lists.append(list)
        self.note(unsafe drover_easy_setopt_slist(self.raw, option, list))
    }

    /// Copies the body into the handle; the size goes first, because the bytes may hold zeros.
    mutating func setBody(_ body: [UInt8]) {
        self.set(CURLOPT_POSTFIELDSIZE_LARGE, offset: body.count)
        let code = unsafe body.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress {
                unsafe drover_easy_setopt_pointer(
                    self.raw,
                    CURLOPT_COPYPOSTFIELDS,
                    UnsafeMutableRawPointer(mutating: base)
                )
            } else {
                unsafe drover_easy_setopt_string(self.raw, CURLOPT_COPYPOSTFIELDS, "")
            }
        }
        self.note(code)
    }

    mutating func set(_ option: CURLoption, pointer value: UnsafeMutableRawPointer?) {
        self.note(unsafe drover_easy_setopt_pointer(self.raw, option, value))
    }

    mutating func set(_ option: CURLoption, callback: @escaping drover_data_callback) {
        self.note(unsafe drover_easy_setopt_data(self.raw, option, callback))
    }

    mutating func openSocketsClosedOnExec() {
        self.note(unsafe drover_easy_setopt_open_socket(self.raw))
    }

    func longInfo(_ info: CURLINFO) -> Int {
        var value = 0
        guard unsafe drover_easy_getinfo_long(self.raw, info, &value) == CURLE_OK else { return 0 }
        return value
    }

    func unpause() {
        _ = unsafe curl_easy_pause(self.raw, CURLPAUSE_CONT)
    }

    private mutating func note(_ code: CURLcode) {
        if code != CURLE_OK, self.refused == CURLE_OK { self.refused = code }
    }
}

/*
 * cmempool.hpp: cmempool for C++, from C++11 on. Only this header is added to the C library.
 *
 *   pool, ranged_pool  own a pool; move-only
 *   object_pool<T>     constructs and destroys objects in a pool of their own
 *   allocator<T>       for std::list, std::map, std::unordered_map: nodes come from a pool
 *   node_size<C>       how large the nodes of container C are, at compile time
 *   pool_resource      a std::pmr::memory_resource over a ranged pool (C++17)
 *
 *     cmempool::object_pool<session> sessions(1000);
 *     auto s = sessions.make_unique("ann");         // goes back to the pool with s
 *
 *     using names_by_id = std::map<int, std::string, std::less<int>,
 *                                  cmempool::allocator<std::pair<const int, std::string>>>;
 *     auto nodes = cmempool::pool::for_nodes_of<names_by_id>(1000);
 *     names_by_id names(nodes);
 *
 * Errors: an invalid argument throws std::invalid_argument; what() names it, and its value. Memory
 * that is not available throws cmempool::bad_alloc, which is a std::bad_alloc. Compiled without
 * exceptions, both print the text and abort. Functions that begin with try_ return NULL with errno
 * set. Misuse ends the process, as cmempool.h says.
 *
 * Threads: any number may use a pool at once, unless it was created with MEMPOOL_SINGLE_THREAD; none
 * may move or destroy it meanwhile. Don't use what came from a pool after the pool is destroyed:
 * declare the pool first.
 *
 * Sizes are in bytes. cmempool.h says more about what the functions do.
 */
#ifndef CMEMPOOL_HPP
#define CMEMPOOL_HPP

#if !defined(__cplusplus) || __cplusplus < 201103L
#error "cmempool.hpp needs C++11 or newer; C programs include cmempool.h"
#endif

#include <cmempool.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

#if __cplusplus >= 201703L && defined(__has_include)
#if __has_include(<memory_resource>)
#include <atomic>
#include <memory_resource>
#define CMEMPOOL_HAS_MEMORY_RESOURCE
#endif
#endif

// For what does nothing but call the library: a pool that records who holds its entries then names
// the program's function, also without optimisation.
#if defined(__GNUC__)
#define CMEMPOOL_IN_CALLER __attribute__((always_inline))
#else
#define CMEMPOOL_IN_CALLER
#endif

// Names that are also macros of cmempool.h stand in parentheses, which calls the functions.

namespace cmempool {

/// Thrown when memory is not available. what() says what was asked for, and why it failed.
class [[gnu::visibility("default")]] bad_alloc : public std::bad_alloc {
public:
    explicit bad_alloc(const char *text) noexcept { std::snprintf(text_, sizeof text_, "%s", text); }

    const char *what() const noexcept override { return text_; }

private:
    char text_[192]; // A string of its own would need memory.
};

template <class T> class allocator;

namespace detail {

/// The default alignment of entries.
constexpr std::size_t default_alignment = 16;
/// The largest alignment that a pool can have.
constexpr std::size_t largest_alignment = 4096;

/// Throws the exception for an error.
[[noreturn, gnu::cold]] inline void raise(int error, const char *text)
{
#ifdef __cpp_exceptions
    if (error == EINVAL)
        throw std::invalid_argument(text);
    throw bad_alloc(text);
#else
    (void)error;
    std::fprintf(stderr, "%s\n", text);
    std::abort();
#endif
}

/// The same for the errno of a C function; `invalid` says what EINVAL means there.
[[noreturn, gnu::cold]] inline void fail(const char *where, const char *invalid)
{
    const int error = errno;
    const char *why = error == EINVAL   ? invalid
                      : error == EPERM  ? "the process may not lock memory"
                      : error == EAGAIN ? "the system could not lock all of the memory"
                                        : "no memory is available";
    char text[192];
    std::snprintf(text, sizeof text, "%s: %s", where, why);
    raise(error, text);
}

/// The same for a pool that gave no entry of `size` bytes; `largest` is the most that it has.
[[noreturn, gnu::cold]] inline void no_entry(const char *where, bool moved_from, std::size_t size,
                                             std::size_t largest)
{
    const int error = errno;
    char text[192];
    if (error != EINVAL)
        std::snprintf(text, sizeof text, "%s: no entry is available for %zu bytes", where, size);
    else if (moved_from)
        std::snprintf(text, sizeof text, "%s: the pool was moved from", where);
    else
        std::snprintf(text, sizeof text, "%s: size %zu is not between 1 and %zu", where, size,
                      largest);
    raise(error, text);
}

/// For an object that no entry of the pool can hold.
[[noreturn, gnu::cold]] inline void does_not_fit(const char *where, std::size_t size,
                                                 std::size_t align, std::size_t largest,
                                                 std::size_t alignment)
{
    char text[192];
    std::snprintf(text, sizeof text,
                  "%s: %zu bytes aligned to %zu do not fit the pool's entries of %zu bytes aligned "
                  "to %zu",
                  where, size, align, largest, alignment);
    raise(ENOMEM, text);
}

inline bool is_alignment(std::size_t alignment) noexcept
{
    return alignment <= largest_alignment && (alignment & (alignment - 1)) == 0;
}

/// What is wrong with an argument.
struct reason {
    char text[160];
};

[[gnu::cold, gnu::format(printf, 1, 2)]] inline reason because(const char *format, ...) noexcept
{
    reason made;
    std::va_list values;
    va_start(values, format);
    std::vsnprintf(made.text, sizeof made.text, format, values);
    va_end(values);
    return made;
}

[[gnu::cold]] inline reason no_alignment(std::size_t alignment) noexcept
{
    return because("alignment %zu is not a power of two up to %zu", alignment, largest_alignment);
}

/// What is wrong with options that the library refused, apart from sizes, counts and alignment. Flags come
/// last: the library may know others than this header.
template <class Options>
[[gnu::cold]] reason invalid_memory(const Options &options, std::size_t needed) noexcept
{
    if (options.buffer == nullptr && options.buffer_size != 0)
        return because("buffer_size is %zu, and buffer is NULL", options.buffer_size);
    if (reinterpret_cast<std::uintptr_t>(options.buffer) % default_alignment != 0)
        return because("buffer %p is not aligned to %zu bytes", options.buffer, default_alignment);
    if (options.buffer != nullptr && options.buffer_size < needed)
        return because("buffer_size %zu is less than the %zu bytes needed", options.buffer_size,
                       needed);
    if ((options.flags & MEMPOOL_HUGE_PAGES) != 0 &&
        (options.buffer != nullptr || options.backing != nullptr))
        return because("flags ask for huge pages, but the memory is given by buffer or backing");
    const mempool_backing *const backing = options.backing;
    if (backing != nullptr && backing->struct_size != sizeof *backing)
        return because("backing's struct_size is not that of MEMPOOL_BACKING_INIT");
    if (backing != nullptr && (backing->alloc == nullptr || backing->free == nullptr))
        return because("backing lacks %s", backing->alloc == nullptr ? "alloc" : "free");
    const unsigned long long flags = options.flags;
    if (backing != nullptr)
        return because("flags 0x%llx are not all known, or backing gave memory at an invalid "
                       "address",
                       flags);
    if (options.buffer != nullptr)
        return because("flags 0x%llx are not all known, or buffer is at an invalid address",
                       flags);
    return because("flags 0x%llx are not all known", flags);
}

/// What is wrong with options that the library refused.
[[gnu::cold]] inline reason invalid_in(const mempool_options &options) noexcept
{
    if (options.struct_size != sizeof options)
        return because("struct_size is not that of MEMPOOL_OPTIONS_INIT");
    if (options.elem_count == 0)
        return because("elem_count is 0");
    if (options.elem_size == 0)
        return because("elem_size is 0");
    if (!is_alignment(options.alignment))
        return no_alignment(options.alignment);
    return invalid_memory(options, mempool_buffer_size(&options));
}

/// What is wrong with a list of classes that the library refused.
[[gnu::cold]] inline reason invalid_classes(const r_mempool_options &options) noexcept
{
    if (options.class_count == 0 || options.class_count > 256)
        return because("class_count %zu is not between 1 and 256", options.class_count);
    for (std::size_t i = 0; i < options.class_count; i++) {
        const r_mempool_class &each = options.classes[i];
        if (each.elem_size == 0 || each.elem_count == 0)
            return because("classes[%zu].%s is 0", i,
                           each.elem_size == 0 ? "elem_size" : "elem_count");
        if (i > 0 && each.elem_size <= options.classes[i - 1].elem_size)
            return because("classes[%zu].elem_size %zu is not above the one before, %zu", i,
                           each.elem_size, options.classes[i - 1].elem_size);
    }
    return because("classes are invalid");
}

[[gnu::cold]] inline reason invalid_in(const r_mempool_options &options) noexcept
{
    if (options.struct_size != sizeof options)
        return because("struct_size is not that of R_MEMPOOL_OPTIONS_INIT");
    if (!is_alignment(options.alignment))
        return no_alignment(options.alignment);
    if (static_cast<unsigned>(options.policy) >= __fallback_end_place_holder)
        return because("policy %u is unknown", static_cast<unsigned>(options.policy));
    if (options.reserved != 0)
        return because("reserved is not 0");
    if ((options.flags & MEMPOOL_FALL_BACK) != 0)
        return because("flags contain MEMPOOL_FALL_BACK, which policy stands for here");
    const std::size_t needed = r_mempool_buffer_size(&options);
    if (needed != 0)
        return invalid_memory(options, needed);
    if (options.classes == nullptr && options.class_count != 0)
        return because("class_count is %zu, and classes is NULL", options.class_count);
    if (options.classes != nullptr)
        return (options.smallest_size | options.largest_size | options.smallest_count) != 0
                   ? because("classes are given, and smallest_size, largest_size or "
                             "smallest_count, too")
                   : invalid_classes(options);
    if (options.smallest_size == 0)
        return because("smallest_size is 0");
    if (options.largest_size <= options.smallest_size)
        return because("largest_size %zu is not above smallest_size %zu", options.largest_size,
                       options.smallest_size);
    if (options.smallest_count == 0)
        return because("smallest_count is 0");
    return because("smallest_count %zu leaves a class empty, or smallest_size and largest_size "
                   "mean the same class",
                   options.smallest_count);
}

/// Throws what errno says of options that the library refused.
template <class Options>
[[noreturn, gnu::cold]] void refused(const char *where, const Options &options)
{
    const int error = errno;
    const reason invalid = error == EINVAL ? invalid_in(options) : reason();
    errno = error; // Asking may have set it.
    fail(where, invalid.text);
}

inline mempool *create(const mempool_options &options)
{
    mempool *const made = mempool_create_with(&options);
    if (made == nullptr)
        refused("cmempool::pool", options);
    return made;
}

inline r_mempool *create(const r_mempool_options &options)
{
    r_mempool *const made = r_mempool_create_with(&options);
    if (made == nullptr)
        refused("cmempool::ranged_pool", options);
    return made;
}

inline mempool_options options_of(std::size_t elem_count, std::size_t elem_size,
                                  bool fall_back) noexcept
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = elem_count;
    options.elem_size = elem_size;
    options.flags = fall_back ? MEMPOOL_FALL_BACK : 0;
    return options;
}

inline r_mempool_options options_of(std::size_t smallest_size, std::size_t largest_size,
                                    std::size_t smallest_count,
                                    r_memory_fallback_policy_t policy) noexcept
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = smallest_size;
    options.largest_size = largest_size;
    options.smallest_count = smallest_count;
    options.policy = policy;
    return options;
}

/// The options, with entries at least as large as `size` and aligned at least to `align`.
inline mempool_options adapted(mempool_options options, std::size_t size,
                               std::size_t align) noexcept
{
    if (options.elem_size < size)
        options.elem_size = size;
    if (options.alignment < align)
        options.alignment = align;
    return options;
}

inline std::size_t alignment_of(std::size_t asked) noexcept
{
    return asked < default_alignment ? default_alignment : asked;
}

/// Frees an entry.
struct give_back {
    void operator()(void *entry) const noexcept { (mempool_free_entry)(entry); }
};

/// Room for a T.
template <class T> struct room {
    alignas(T) unsigned char bytes[sizeof(T)];
};

// The node of a container, member by member as the standard library in use has it. tests/cxx/nodes.cpp
// compares each with what the containers ask for.

#if defined(__GLIBCXX__) || defined(_LIBCPP_VERSION)

template <class T> struct list_node {
    void *next, *previous;
    room<T> value;
};

template <class T> struct forward_list_node {
    void *next;
    room<T> value;
};

#else

// The most that any known library needs, before the element and after it.
template <class T> struct list_node {
    void *words[4];
    room<T> value;
    std::size_t hash;
};

template <class T> using forward_list_node = list_node<T>;

#endif

#if defined(__GLIBCXX__)

template <class T> struct tree_node {
    int colour;
    void *parent, *left, *right;
    room<T> value;
};

/// With a hash, unless the iterator's last argument, false, says that the library caches none.
template <class T, class Iterator> struct hash_node {
    void *next;
    room<T> value;
    std::size_t hash;
};

template <class T, template <class, bool, bool> class Iterator, class U, bool Constant>
struct hash_node<T, Iterator<U, Constant, false>> {
    void *next;
    room<T> value;
};

#elif defined(_LIBCPP_VERSION)

struct tree_end {
    void *left;
};

/// Derived, so that a small element lies in the padding after `black`, as it does there.
struct tree_links : tree_end {
    void *right, *parent;
    bool black;
};

template <class T> struct tree_node : tree_links {
    room<T> value;
};

template <class T, class Iterator> struct hash_node {
    void *next;
    std::size_t hash;
    room<T> value;
};

#else

template <class T> using tree_node = list_node<T>;
template <class T, class Iterator> using hash_node = list_node<T>;

#endif

#if defined(__GLIBCXX__) && defined(_GLIBCXX_HAVE_ATOMIC_LOCK_POLICY)
using reference_counts = void *[2];
#elif defined(_LIBCPP_VERSION)
using reference_counts = void *[3];
#else
using reference_counts = void *[8]; // perhaps with a mutex
#endif

/// What std::allocate_shared allocates.
template <class T> struct shared_node {
    struct held {
        allocator<T> from;
        room<T> value;
    };
    reference_counts counts;
    held object;
};

template <class...> struct voided {
    using type = void;
};

template <class Container, class = void> struct has_hash : std::false_type {};
template <class Container>
struct has_hash<Container, typename voided<typename Container::hasher>::type> : std::true_type {};

template <class Container, class = void> struct has_order : std::false_type {};
template <class Container>
struct has_order<Container, typename voided<typename Container::key_compare>::type>
    : std::true_type {};

/// The node of a container, known by its members, so that no container's header is needed here.
template <class Container> struct node {
    using value = typename Container::value_type;
    using iterator = typename Container::iterator;
    using category = typename std::iterator_traits<iterator>::iterator_category;

    static_assert(!std::is_base_of<std::random_access_iterator_tag, category>::value,
                  "such a container has arrays, not nodes");

    using in_sequence = typename std::conditional<
        std::is_base_of<std::bidirectional_iterator_tag, category>::value, list_node<value>,
        forward_list_node<value>>::type;
    using type = typename std::conditional<
        has_hash<Container>::value, hash_node<value, iterator>,
        typename std::conditional<has_order<Container>::value, tree_node<value>,
                                  in_sequence>::type>::type;
};

template <class T> struct node<std::shared_ptr<T>> {
    static_assert(!std::is_array<T>::value, "an array of any length has no size of its own");
    using type = shared_node<typename std::remove_cv<T>::type>;
};

} // namespace detail

/// Bytes of a container's node at compile time: `elem_size` must be at least that.
///
/// The container is a std::list, std::forward_list, std::(multi)set, std::(multi)map or one of the
/// unordered ones, with any allocator whose pointers are plain. `node_size<std::shared_ptr<T>>` is what
/// std::allocate_shared takes for a T with a cmempool::allocator.
///
/// It is exactly what libstdc++ and libc++ ask for, except that it may be larger for an unordered
/// container under _GLIBCXX_DEBUG and for a shared_ptr to an object of an empty class. With another
/// standard library it is an upper bound: the element and 5 words, or for a shared_ptr 8 words and an
/// allocator.
template <class Container>
struct node_size
    : std::integral_constant<std::size_t, sizeof(typename detail::node<Container>::type)> {};

/// Alignment of a container's node in bytes: `alignment` must be at least that.
template <class Container>
struct node_alignment
    : std::integral_constant<std::size_t, alignof(typename detail::node<Container>::type)> {};

namespace detail {

/// Whether entries of `size` bytes, aligned to `alignment`, hold the nodes of a container.
template <class Container> bool fits(std::size_t size, std::size_t alignment) noexcept
{
    return node_size<Container>::value <= size && node_alignment<Container>::value <= alignment;
}

} // namespace detail

/// A pool of entries of one size. Owns it: the destructor destroys it with all its entries.
class pool {
public:
    /// Creates a pool of `elem_count` entries of `elem_size` bytes: see `mempool_create`.
    pool(std::size_t elem_count, std::size_t elem_size, bool fall_back = false)
        : pool(detail::options_of(elem_count, elem_size, fall_back))
    {
    }

    /// Creates a pool with options: see `mempool_create_with`.
    explicit pool(const mempool_options &options)
        : handle_(detail::create(options)), elem_size_(options.elem_size),
          alignment_(detail::alignment_of(options.alignment))
    {
    }

    /// Creates a pool whose entries hold the nodes of a container: see `node_size`. When all are out,
    /// it takes from the heap if `fall_back` is true.
    template <class Container>
    static pool for_nodes_of(std::size_t elem_count, bool fall_back = false)
    {
        return for_nodes_of<Container>(detail::options_of(elem_count, 0, fall_back));
    }

    /// The same with options; `elem_size` and `alignment` are raised to those of a node.
    template <class Container> static pool for_nodes_of(const mempool_options &options)
    {
        static_assert(node_alignment<Container>::value <= detail::largest_alignment,
                      "a pool aligns to 4096 bytes at most");
        return pool(detail::adapted(options, node_size<Container>::value,
                                    node_alignment<Container>::value));
    }

    /// Moving keeps the pool and its entries where they are. The moved-from object has no pool; it may
    /// be destroyed or assigned to.
    pool(pool &&other) noexcept
        : handle_(other.handle_), elem_size_(other.elem_size_), alignment_(other.alignment_)
    {
        other.handle_ = nullptr;
    }

    pool &operator=(pool &&other) noexcept
    {
        pool(std::move(other)).swap(*this);
        return *this;
    }

    ~pool() { (mempool_destroy)(handle_); }

    void swap(pool &other) noexcept
    {
        std::swap(handle_, other.handle_);
        std::swap(elem_size_, other.elem_size_);
        std::swap(alignment_, other.alignment_);
    }

    /// Allocates an entry; throws if there is none.
    CMEMPOOL_IN_CALLER void *allocate()
    {
        void *const entry = try_allocate();
        if (entry == nullptr)
            detail::no_entry("cmempool::pool::allocate", handle_ == nullptr, elem_size_, elem_size_);
        return entry;
    }

    /// Allocates an entry; NULL if there is none.
    CMEMPOOL_IN_CALLER void *try_allocate() noexcept { return mempool_alloc_entry(handle_); }

    /// Frees an entry of any pool; NULL does nothing.
    static CMEMPOOL_IN_CALLER void deallocate(void *entry) noexcept { (mempool_free_entry)(entry); }

    /// Usable bytes of each entry.
    std::size_t elem_size() const noexcept { return elem_size_; }

    /// Alignment of each entry in bytes.
    std::size_t alignment() const noexcept { return alignment_; }

    /// Whether its entries hold the nodes of a container.
    template <class Container> bool serves_nodes_of() const noexcept
    {
        return detail::fits<Container>(elem_size_, alignment_);
    }

    /// How many entries it has.
    std::size_t total_capacity() const noexcept { return mempool_total_capacity(handle_); }

    /// How many of them are out.
    std::size_t used_count() const noexcept { return mempool_used_count(handle_); }

    /// How many entries from the heap are out.
    std::size_t dynamic_allocs_count() const noexcept
    {
        return mempool_dynamic_allocs_count(handle_);
    }

    /// For the functions of cmempool.h. This object keeps the pool.
    mempool *get() const noexcept { return handle_; }

private:
    mempool *handle_;
    std::size_t elem_size_;
    std::size_t alignment_;
};

inline void swap(pool &left, pool &right) noexcept
{
    left.swap(right);
}

/// A ranged pool: a collection of pools, called classes, for entries of many sizes. Owns it.
class ranged_pool {
public:
    /// Creates a class for each power of two from `smallest_size` to `largest_size`. The smallest has
    /// `smallest_count` entries, each larger one half as many as the one before: see
    /// `r_mempool_create`.
    ranged_pool(std::size_t smallest_size, std::size_t largest_size, std::size_t smallest_count,
                r_memory_fallback_policy_t policy = fallback_disabled)
        : ranged_pool(detail::options_of(smallest_size, largest_size, smallest_count, policy))
    {
    }

    /// Creates a ranged pool with options: see `r_mempool_create_with`.
    explicit ranged_pool(const r_mempool_options &options)
        : handle_(detail::create(options)), largest_size_(0),
          alignment_(detail::alignment_of(options.alignment))
    {
        mempool_stats stats = MEMPOOL_STATS_INIT;
        if (r_mempool_get_stats(handle_, r_mempool_class_count(handle_) - 1, &stats))
            largest_size_ = stats.elem_size;
    }

    /// As for `pool`.
    ranged_pool(ranged_pool &&other) noexcept
        : handle_(other.handle_), largest_size_(other.largest_size_), alignment_(other.alignment_)
    {
        other.handle_ = nullptr;
    }

    ranged_pool &operator=(ranged_pool &&other) noexcept
    {
        ranged_pool(std::move(other)).swap(*this);
        return *this;
    }

    ~ranged_pool() { (r_mempool_destroy)(handle_); }

    void swap(ranged_pool &other) noexcept
    {
        std::swap(handle_, other.handle_);
        std::swap(largest_size_, other.largest_size_);
        std::swap(alignment_, other.alignment_);
    }

    /// Allocates an entry of `size` bytes; throws if there is none.
    CMEMPOOL_IN_CALLER void *allocate(std::size_t size)
    {
        void *const taken = try_allocate(size);
        if (taken == nullptr)
            detail::no_entry("cmempool::ranged_pool::allocate", handle_ == nullptr, size,
                             largest_size_);
        return taken;
    }

    /// Allocates an entry of `size` bytes; NULL if there is none.
    CMEMPOOL_IN_CALLER void *try_allocate(std::size_t size) noexcept
    {
        return r_mempool_alloc_entry(handle_, size);
    }

    /// Makes an entry larger or smaller: see `r_mempool_realloc_entry`. Throws if it fails; the entry
    /// is then unchanged.
    CMEMPOOL_IN_CALLER void *reallocate(void *entry, std::size_t size)
    {
        void *const taken = try_reallocate(entry, size);
        if (taken == nullptr)
            detail::no_entry("cmempool::ranged_pool::reallocate", handle_ == nullptr, size,
                             largest_size_);
        return taken;
    }

    /// The same; NULL if it fails; the entry is then unchanged.
    CMEMPOOL_IN_CALLER void *try_reallocate(void *entry, std::size_t size) noexcept
    {
        return r_mempool_realloc_entry(handle_, entry, size);
    }

    /// Frees an entry of any pool; NULL does nothing.
    static CMEMPOOL_IN_CALLER void deallocate(void *entry) noexcept { (r_mempool_free_entry)(entry); }

    /// Usable bytes of the largest class's entries.
    std::size_t largest_size() const noexcept { return largest_size_; }

    /// Alignment of each entry in bytes.
    std::size_t alignment() const noexcept { return alignment_; }

    /// Whether it has a class for the nodes of a container: see `node_size`.
    template <class Container> bool serves_nodes_of() const noexcept
    {
        return detail::fits<Container>(largest_size_, alignment_);
    }

    /// How many entries the class that fits `size` has.
    std::size_t total_capacity(std::size_t size) const noexcept
    {
        return r_mempool_total_capacity(handle_, size);
    }

    /// How many of them are out.
    std::size_t used_count(std::size_t size) const noexcept
    {
        return r_mempool_used_count(handle_, size);
    }

    /// How many entries from the heap are out: see `r_mempool_dynamic_allocs_count`.
    std::size_t dynamic_allocs_count(std::size_t size) const noexcept
    {
        return r_mempool_dynamic_allocs_count(handle_, size);
    }

    /// For the functions of cmempool.h. This object keeps the pool.
    r_mempool *get() const noexcept { return handle_; }

private:
    r_mempool *handle_;
    std::size_t largest_size_;
    std::size_t alignment_;
};

inline void swap(ranged_pool &left, ranged_pool &right) noexcept
{
    left.swap(right);
}

/// A pool of objects of one type, over-aligned ones included.
///
/// When the pool is destroyed, the memory of its remaining objects is freed, but their destructors
/// don't run.
template <class T> class object_pool {
    static_assert(std::is_object<T>::value && !std::is_array<T>::value,
                  "an object_pool is of objects, not of arrays or references");
    static_assert(alignof(T) <= detail::largest_alignment,
                  "a pool aligns to 4096 bytes at most");

public:
    /// Destroys an object of any object_pool<T>. Has no members, so that a unique_ptr is as large
    /// as a pointer.
    struct deleter {
        void operator()(T *object) const noexcept { destroy(object); }
    };

    /// Owns an object; destroys it and frees its entry.
    using unique_ptr = std::unique_ptr<T, deleter>;

    /// Creates a pool of `count` objects. When all are out, it takes from the heap if `fall_back` is
    /// true.
    explicit object_pool(std::size_t count, bool fall_back = false)
        : object_pool(detail::options_of(count, 0, fall_back))
    {
    }

    /// Creates a pool with options; `elem_size` and `alignment` are raised to those of T.
    explicit object_pool(const mempool_options &options)
        : memory_(detail::adapted(options, sizeof(T), alignof(T)))
    {
    }

    /// Constructs an object in an entry; throws if there is none. If the constructor throws, the entry
    /// goes back to the pool, and the exception to the caller.
    template <class... Args> CMEMPOOL_IN_CALLER T *make(Args &&...args)
    {
        return construct(memory_.allocate(), std::forward<Args>(args)...);
    }

    /// The same; NULL if there is no entry.
    template <class... Args> CMEMPOOL_IN_CALLER T *try_make(Args &&...args)
    {
        void *entry = memory_.try_allocate();
        return entry == nullptr ? nullptr : construct(entry, std::forward<Args>(args)...);
    }

    /// As make, with an owner.
    template <class... Args> CMEMPOOL_IN_CALLER unique_ptr make_unique(Args &&...args)
    {
        return unique_ptr(make(std::forward<Args>(args)...));
    }

    /// Destroys an object that make returned, of any object_pool<T>; NULL does nothing.
    static CMEMPOOL_IN_CALLER void destroy(T *object) noexcept
    {
        if (object == nullptr)
            return;
        object->~T();
        pool::deallocate(const_cast<typename std::remove_cv<T>::type *>(object));
    }

    /// How many objects it has room for.
    std::size_t total_capacity() const noexcept { return memory_.total_capacity(); }

    /// How many of its entries are out.
    std::size_t used_count() const noexcept { return memory_.used_count(); }

    /// How many objects are on the heap.
    std::size_t dynamic_allocs_count() const noexcept { return memory_.dynamic_allocs_count(); }

    /// For the functions of cmempool.h. This object keeps the pool.
    mempool *get() const noexcept { return memory_.get(); }

private:
    template <class... Args> static T *construct(void *entry, Args &&...args)
    {
        // Holds the entry until the constructor has come to its end.
        std::unique_ptr<void, detail::give_back> guard(entry);
        T *object = ::new (entry) T(std::forward<Args>(args)...);
        guard.release();
        return object;
    }

    pool memory_;
};

namespace detail {

/// The pool, of either sort, of an allocator. Stays valid when the pool's owner is moved.
struct source {
    void *handle;
    std::size_t largest;
    std::size_t alignment;
    bool ranged;
    bool oversize_from_heap;

    bool serves(std::size_t size, std::size_t align) const noexcept
    {
        return size <= largest && align <= alignment;
    }

    CMEMPOOL_IN_CALLER void *take(std::size_t size) const noexcept
    {
        return ranged ? r_mempool_alloc_entry(static_cast<r_mempool *>(handle), size)
                      : mempool_alloc_entry(static_cast<mempool *>(handle));
    }
};

/// Memory that no pool serves. The same in every standard, as programs mix them.
inline void *take_from_heap(std::size_t bytes, std::size_t align)
{
    if (align <= alignof(std::max_align_t))
        return ::operator new(bytes);
    void *memory = nullptr;
    errno = posix_memalign(&memory, align, bytes);
    if (memory == nullptr)
        fail("cmempool::allocator", because("alignment %zu is invalid", align).text);
    return memory;
}

inline void give_to_heap(void *memory, std::size_t align) noexcept
{
    if (align <= alignof(std::max_align_t))
        ::operator delete(memory);
    else
        std::free(memory);
}

} // namespace detail

/// What an allocator does with a single object that does not fit the pool's entries, because it is
/// too large for them or aligned to more than they are.
enum class oversize {
    throws,    ///< The default: a bad_alloc says how large the object is.
    from_heap, ///< It comes from operator new, as arrays do.
};

/// An allocator whose single objects, such as a container's nodes, come from a pool.
///
/// A node is its element and some pointers. `pool::for_nodes_of` creates a pool with entries of that
/// size, and a ranged pool has a class for it. For a single object that does not fit, allocate throws a
/// bad_alloc, even if the pool falls back to the heap, since the pool's entries would never be used;
/// with `oversize::from_heap` the object comes from the heap. If the pool has no entry left, allocate
/// throws a bad_alloc, unless the pool falls back to the heap.
///
/// Arrays always come from the heap, by operator new (over-aligned ones by posix_memalign): the buckets
/// of std::unordered_map, and the elements of a std::vector. An array of one is a single object: a
/// std::vector or std::deque of elements that do not fit needs `oversize::from_heap`.
///
/// Two allocators are equal if they have the same pool. Move assignment and swap of containers also
/// move the allocator, so they never copy elements. Copy assignment leaves each container its own; a
/// copy of a container has the same pool.
///
/// The pool must outlive the container, and may be moved meanwhile. Containers may share a pool, also
/// in different threads, unless it was created with MEMPOOL_SINGLE_THREAD.
template <class T> class allocator {
public:
    using value_type = T;
    using propagate_on_container_copy_assignment = std::false_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    /// Not explicit, so that a container can be given its pool as it is:
    /// `std::list<T, allocator<T>> list(pool);`
    allocator(pool &from, oversize policy = oversize::throws) noexcept
        : source_{from.get(), from.elem_size(), from.alignment(), false,
                  policy == oversize::from_heap}
    {
    }

    allocator(ranged_pool &from, oversize policy = oversize::throws) noexcept
        : source_{from.get(), from.largest_size(), from.alignment(), true,
                  policy == oversize::from_heap}
    {
    }

    /// The same for another type.
    template <class U> allocator(const allocator<U> &other) noexcept : source_(other.source_) {}

    /// Memory for `count` objects; throws a bad_alloc if there is none.
    T *allocate(std::size_t count)
    {
        if (is_from_pool(count)) {
            void *const entry = source_.take(sizeof(T));
            if (entry == nullptr)
                detail::no_entry("cmempool::allocator", source_.handle == nullptr, sizeof(T),
                                 source_.largest);
            return static_cast<T *>(entry);
        }
        if (count == 1 && !source_.oversize_from_heap)
            detail::does_not_fit("cmempool::allocator", sizeof(T), alignof(T), source_.largest,
                                 source_.alignment);
        if (count > static_cast<std::size_t>(-1) / sizeof(T))
            detail::raise(ENOMEM, "cmempool::allocator: so many objects have no size");
        return static_cast<T *>(detail::take_from_heap(count * sizeof(T), alignof(T)));
    }

    /// Frees it; `count` as for allocate.
    void deallocate(T *memory, std::size_t count) noexcept
    {
        if (is_from_pool(count))
            pool::deallocate(memory);
        else
            detail::give_to_heap(memory, alignof(T));
    }

    /// Whether the pool's entries hold the nodes of a container: see `node_size`. An allocator can't
    /// know its container's nodes: it is for elements, and a node is larger.
    template <class Container> bool serves_nodes_of() const noexcept
    {
        return detail::fits<Container>(source_.largest, source_.alignment);
    }

    template <class U> bool operator==(const allocator<U> &other) const noexcept
    {
        return source_.handle == other.source_.handle;
    }

    template <class U> bool operator!=(const allocator<U> &other) const noexcept
    {
        return !(*this == other);
    }

private:
    template <class U> friend class allocator;

    bool is_from_pool(std::size_t count) const noexcept
    {
        return count == 1 && source_.serves(sizeof(T), alignof(T));
    }

    detail::source source_;
};

#ifdef CMEMPOOL_HAS_MEMORY_RESOURCE

/// A memory resource for the containers of std::pmr that takes from a ranged pool.
///
/// What is larger than the largest class, or aligned more than the pool's entries, comes from the
/// upstream resource, and so does what the pool has no entry for: with `fallback_disabled` upstream
/// takes the place of the heap. Memory of both kinds may be out at once. With
/// `std::pmr::null_memory_resource()` as upstream nothing comes from elsewhere: what the pool can't
/// serve throws a bad_alloc that says how much was asked for.
///
/// Pool and upstream must outlive the resource, and the resource all that came from it; the pool
/// may be moved meanwhile. Safe for threads where both of them are. A resource equals itself alone.
class pool_resource : public std::pmr::memory_resource {
public:
    explicit pool_resource(
        ranged_pool &from,
        std::pmr::memory_resource *upstream = std::pmr::get_default_resource()) noexcept
        : handle_(from.get()), largest_size_(from.largest_size()), alignment_(from.alignment()),
          upstream_(upstream)
    {
    }

    pool_resource(const pool_resource &) = delete;
    pool_resource &operator=(const pool_resource &) = delete;

    /// Where memory comes from that the pool does not serve.
    std::pmr::memory_resource *upstream_resource() const noexcept { return upstream_; }

private:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override
    {
        if (!serves(bytes, alignment))
            return from_upstream(bytes, alignment);
        if (void *entry = r_mempool_alloc_entry(handle_, bytes == 0 ? 1 : bytes))
            return entry;
        void *memory = from_upstream(bytes, alignment);
        missed_.fetch_add(1, std::memory_order_relaxed);
        return memory;
    }

    void do_deallocate(void *memory, std::size_t bytes, std::size_t alignment) override
    {
        if (serves(bytes, alignment)) {
            // Relaxed: who has memory that was missed knows of the allocate that counted it, and it
            // counts until it is given back. The count only spares the search.
            if (missed_.load(std::memory_order_relaxed) == 0 || r_mempool_owns(handle_, memory))
                return (r_mempool_free_entry)(memory);
            missed_.fetch_sub(1, std::memory_order_relaxed);
        }
        upstream_->deallocate(memory, bytes, alignment);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        return this == &other;
    }

    bool serves(std::size_t bytes, std::size_t alignment) const noexcept
    {
        return bytes <= largest_size_ && alignment <= alignment_;
    }

    void *from_upstream(std::size_t bytes, std::size_t alignment)
    {
        if (upstream_ != std::pmr::null_memory_resource())
            return upstream_->allocate(bytes, alignment);
        if (!serves(bytes, alignment))
            detail::does_not_fit("cmempool::pool_resource", bytes, alignment, largest_size_,
                                 alignment_);
        detail::no_entry("cmempool::pool_resource", handle_ == nullptr, bytes, largest_size_);
    }

    r_mempool *handle_;
    std::size_t largest_size_;
    std::size_t alignment_;
    std::pmr::memory_resource *upstream_;
    std::atomic<std::size_t> missed_{0}; // allocations upstream that the pool had no entry for
};

#endif

} // namespace cmempool

#undef CMEMPOOL_IN_CALLER

#endif /* CMEMPOOL_HPP */

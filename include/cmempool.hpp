/*
 * cmempool.hpp: cmempool for C++, from C++11 on. Only this header is added to the C library.
 *
 *   pool, ranged_pool  own a pool; move-only
 *   object_pool<T>     constructs and destroys objects in a pool of their own
 *   allocator<T>       for std::list, std::map, std::unordered_map: nodes come from a pool
 *   pool_resource      a std::pmr::memory_resource over a ranged pool (C++17)
 *
 *     cmempool::object_pool<session> sessions(1000);
 *     auto s = sessions.make_unique("ann");         // goes back to the pool with s
 *
 *     cmempool::ranged_pool nodes(16, 128, 4096);
 *     std::map<int, std::string, std::less<int>,
 *              cmempool::allocator<std::pair<const int, std::string>>> names(nodes);
 *
 * Errors: what can't be made or had throws std::invalid_argument where the C function sets EINVAL,
 * else std::bad_alloc; compiled without exceptions, it aborts. Functions that begin with try_
 * return NULL with errno set. Misuse ends the process, as cmempool.h says.
 *
 * Threads: any number may use a pool at once, as long as none of them moves or destroys it, unless
 * it was made with MEMPOOL_SINGLE_THREAD. What came from a pool must not be used once that is
 * destroyed: declare the pool first.
 *
 * Sizes are in bytes; cmempool.h says more of all that the functions do.
 */
#ifndef CMEMPOOL_HPP
#define CMEMPOOL_HPP

#if !defined(__cplusplus) || __cplusplus < 201103L
#error "cmempool.hpp needs C++11 or newer; C programs include cmempool.h"
#endif

#include <cmempool.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
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

// Names that are macros of cmempool.h, too, stand in parentheses: so the functions are called.

namespace cmempool {

namespace detail {

/// Alignment of entries where nothing else is asked for.
constexpr std::size_t default_alignment = 16;
/// The largest alignment that a pool can be made with.
constexpr std::size_t largest_alignment = 4096;

/// Throws what errno stands for.
[[noreturn]] inline void fail(const char *what)
{
#ifdef __cpp_exceptions
    if (errno == EINVAL)
        throw std::invalid_argument(what);
    throw std::bad_alloc();
#else
    (void)what;
    std::abort();
#endif
}

/// The pointer, unless it is NULL.
template <class T> T *checked(T *pointer, const char *what)
{
    if (pointer == nullptr)
        fail(what);
    return pointer;
}

inline std::size_t alignment_of(std::size_t asked) noexcept
{
    return asked < default_alignment ? default_alignment : asked;
}

/// Gives an entry back.
struct give_back {
    void operator()(void *entry) const noexcept { (mempool_free_entry)(entry); }
};

} // namespace detail

/// A pool of entries of one size. Owns it: the destructor destroys it with all its entries.
class pool {
public:
    /// Makes a pool of `elem_count` entries of `elem_size` bytes: see `mempool_create`.
    pool(std::size_t elem_count, std::size_t elem_size, bool fall_back = false)
        : pool(made{(mempool_create)(elem_count, elem_size, fall_back), elem_size, 0})
    {
    }

    /// Makes a pool with options: see `mempool_create_with`.
    explicit pool(const mempool_options &options)
        : pool(made{mempool_create_with(&options), options.elem_size, options.alignment})
    {
    }

    /// Moving keeps the pool and its entries where they are. What was moved from has no pool: it
    /// may be destroyed or assigned to.
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

    /// Takes an entry; throws if none is to be had.
    void *allocate() { return detail::checked(try_allocate(), "cmempool::pool::allocate"); }

    /// Takes an entry; NULL if none is to be had.
    void *try_allocate() noexcept { return mempool_alloc_entry(handle_); }

    /// Gives an entry of any pool back; NULL does nothing.
    static void deallocate(void *entry) noexcept { (mempool_free_entry)(entry); }

    /// Usable bytes of each entry.
    std::size_t elem_size() const noexcept { return elem_size_; }

    /// Alignment of each entry in bytes.
    std::size_t alignment() const noexcept { return alignment_; }

    /// How many entries it was made for.
    std::size_t total_capacity() const noexcept { return mempool_total_capacity(handle_); }

    /// How many of them are out.
    std::size_t used_count() const noexcept { return mempool_used_count(handle_); }

    /// How many entries are out that came from the heap.
    std::size_t dynamic_allocs_count() const noexcept
    {
        return mempool_dynamic_allocs_count(handle_);
    }

    /// For the functions of cmempool.h; stays this object's.
    mempool *get() const noexcept { return handle_; }

private:
    struct made {
        mempool *handle;
        std::size_t elem_size;
        std::size_t alignment;
    };

    explicit pool(const made &made)
        : handle_(detail::checked(made.handle, "cmempool::pool")), elem_size_(made.elem_size),
          alignment_(detail::alignment_of(made.alignment))
    {
    }

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
    /// Makes a class for each power of two from `smallest_size` to `largest_size`, the smallest
    /// with `smallest_count` entries: see `r_mempool_create`.
    ranged_pool(std::size_t smallest_size, std::size_t largest_size, std::size_t smallest_count,
                r_memory_fallback_policy_t policy = fallback_disabled)
        : ranged_pool((r_mempool_create)(smallest_size, largest_size, smallest_count, policy), 0)
    {
    }

    /// Makes a ranged pool with options: see `r_mempool_create_with`.
    explicit ranged_pool(const r_mempool_options &options)
        : ranged_pool(r_mempool_create_with(&options), options.alignment)
    {
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

    /// Takes an entry of `size` bytes; throws if none is to be had.
    void *allocate(std::size_t size)
    {
        return detail::checked(try_allocate(size), "cmempool::ranged_pool::allocate");
    }

    /// Takes an entry of `size` bytes; NULL if none is to be had.
    void *try_allocate(std::size_t size) noexcept { return r_mempool_alloc_entry(handle_, size); }

    /// Makes an entry larger or smaller: see `r_mempool_realloc_entry`. Throws if that can't be,
    /// and the entry stays as it was.
    void *reallocate(void *entry, std::size_t size)
    {
        return detail::checked(try_reallocate(entry, size), "cmempool::ranged_pool::reallocate");
    }

    /// The same; NULL if that can't be, and the entry stays as it was.
    void *try_reallocate(void *entry, std::size_t size) noexcept
    {
        return r_mempool_realloc_entry(handle_, entry, size);
    }

    /// Gives an entry of any pool back; NULL does nothing.
    static void deallocate(void *entry) noexcept { (r_mempool_free_entry)(entry); }

    /// Usable bytes of the largest class's entries.
    std::size_t largest_size() const noexcept { return largest_size_; }

    /// Alignment of each entry in bytes.
    std::size_t alignment() const noexcept { return alignment_; }

    /// How many entries the class was made for that fits `size`.
    std::size_t total_capacity(std::size_t size) const noexcept
    {
        return r_mempool_total_capacity(handle_, size);
    }

    /// How many of them are out.
    std::size_t used_count(std::size_t size) const noexcept
    {
        return r_mempool_used_count(handle_, size);
    }

    /// How many entries are out that came from the heap: see `r_mempool_dynamic_allocs_count`.
    std::size_t dynamic_allocs_count(std::size_t size) const noexcept
    {
        return r_mempool_dynamic_allocs_count(handle_, size);
    }

    /// For the functions of cmempool.h; stays this object's.
    r_mempool *get() const noexcept { return handle_; }

private:
    ranged_pool(r_mempool *handle, std::size_t alignment)
        : handle_(detail::checked(handle, "cmempool::ranged_pool")), largest_size_(0),
          alignment_(detail::alignment_of(alignment))
    {
        mempool_stats stats = MEMPOOL_STATS_INIT;
        if (r_mempool_get_stats(handle, r_mempool_class_count(handle) - 1, &stats))
            largest_size_ = stats.elem_size;
    }

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
/// Objects that are not destroyed when the pool is: their memory goes, their destructors don't run.
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

    /// Owns an object; destroys it and gives its entry back.
    using unique_ptr = std::unique_ptr<T, deleter>;

    /// Makes a pool of `count` objects. When all are out, it takes from the heap if `fall_back`
    /// says so.
    explicit object_pool(std::size_t count, bool fall_back = false)
        : memory_(options_for(count, fall_back))
    {
    }

    /// Makes a pool with options, of which `elem_size` and `alignment` are set to T's, unless they
    /// are larger.
    explicit object_pool(const mempool_options &options) : memory_(adapted(options)) {}

    /// Constructs an object in an entry; throws if there is none. What the constructor throws goes
    /// on to the caller, and the entry back to the pool.
    template <class... Args> T *make(Args &&...args)
    {
        return construct(memory_.allocate(), std::forward<Args>(args)...);
    }

    /// The same; NULL if there is no entry.
    template <class... Args> T *try_make(Args &&...args)
    {
        void *entry = memory_.try_allocate();
        return entry == nullptr ? nullptr : construct(entry, std::forward<Args>(args)...);
    }

    /// As make, with an owner.
    template <class... Args> unique_ptr make_unique(Args &&...args)
    {
        return unique_ptr(make(std::forward<Args>(args)...));
    }

    /// Destroys an object that make returned, of any object_pool<T>; NULL does nothing.
    static void destroy(T *object) noexcept
    {
        if (object == nullptr)
            return;
        object->~T();
        pool::deallocate(const_cast<typename std::remove_cv<T>::type *>(object));
    }

    /// How many objects it was made for.
    std::size_t total_capacity() const noexcept { return memory_.total_capacity(); }

    /// How many of its entries are out.
    std::size_t used_count() const noexcept { return memory_.used_count(); }

    /// How many objects are out that are on the heap.
    std::size_t dynamic_allocs_count() const noexcept { return memory_.dynamic_allocs_count(); }

    /// For the functions of cmempool.h; stays this object's.
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

    static mempool_options adapted(mempool_options options) noexcept
    {
        if (options.elem_size < sizeof(T))
            options.elem_size = sizeof(T);
        if (options.alignment < alignof(T))
            options.alignment = alignof(T);
        return options;
    }

    static mempool_options options_for(std::size_t count, bool fall_back) noexcept
    {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = count;
        options.flags = fall_back ? MEMPOOL_FALL_BACK : 0;
        return adapted(options);
    }

    pool memory_;
};

namespace detail {

/// Where an allocator takes from: a pool of either sort. Stays valid when its owner is moved.
struct source {
    void *handle;
    std::size_t largest;
    std::size_t alignment;
    bool ranged;

    bool serves(std::size_t size, std::size_t align) const noexcept
    {
        return size <= largest && align <= alignment;
    }

    void *take(std::size_t size) const noexcept
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
    return checked(memory, "cmempool::allocator");
}

inline void give_to_heap(void *memory, std::size_t align) noexcept
{
    if (align <= alignof(std::max_align_t))
        ::operator delete(memory);
    else
        std::free(memory);
}

} // namespace detail

/// An allocator whose single objects, such as a container's nodes, come from a pool.
///
/// From the heap, by operator new (over-aligned ones by posix_memalign), come arrays, such as the
/// buckets of std::unordered_map and all that a std::vector has, and objects that are too large for
/// the pool's entries or aligned more than those. Where the pool has no entry, allocate throws
/// std::bad_alloc, unless the pool itself falls back to the heap.
///
/// A node is its element and some pointers, up to 32 bytes more: an ordinary pool needs entries for
/// that, and a ranged pool has a class for it.
///
/// Two are equal if they take from the same pool. Move assignment and swap of containers take the
/// allocator along, so that they never copy elements; copy assignment leaves each container its
/// own, and a copy of a container takes from the same pool.
///
/// The pool must outlive the container, and may be moved meanwhile. Containers may share a pool, in
/// different threads, too, unless it was made with MEMPOOL_SINGLE_THREAD.
template <class T> class allocator {
public:
    using value_type = T;
    using propagate_on_container_copy_assignment = std::false_type;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    /// Not explicit, so that a container can be given its pool as it is:
    /// `std::list<T, allocator<T>> list(pool);`
    allocator(pool &from) noexcept
        : source_{from.get(), from.elem_size(), from.alignment(), false}
    {
    }

    allocator(ranged_pool &from) noexcept
        : source_{from.get(), from.largest_size(), from.alignment(), true}
    {
    }

    /// The same for another type.
    template <class U> allocator(const allocator<U> &other) noexcept : source_(other.source_) {}

    /// Memory for `count` objects; throws std::bad_alloc if there is none.
    T *allocate(std::size_t count)
    {
        if (is_from_pool(count))
            return static_cast<T *>(
                detail::checked(source_.take(sizeof(T)), "cmempool::allocator"));
        if (count > static_cast<std::size_t>(-1) / sizeof(T)) {
            errno = ENOMEM;
            detail::fail("cmempool::allocator");
        }
        return static_cast<T *>(detail::take_from_heap(count * sizeof(T), alignof(T)));
    }

    /// Gives it back; `count` as for allocate.
    void deallocate(T *memory, std::size_t count) noexcept
    {
        if (is_from_pool(count))
            pool::deallocate(memory);
        else
            detail::give_to_heap(memory, alignof(T));
    }

    /// Whether single objects come from the pool: not if they are too large for its entries.
    bool serves() const noexcept { return source_.serves(sizeof(T), alignof(T)); }

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

    bool is_from_pool(std::size_t count) const noexcept { return count == 1 && serves(); }

    detail::source source_;
};

#ifdef CMEMPOOL_HAS_MEMORY_RESOURCE

/// A memory resource for the containers of std::pmr that takes from a ranged pool.
///
/// What is larger than the largest class, or aligned more than the pool's entries, comes from the
/// upstream resource, and so does what the pool has no entry for: with `fallback_disabled` upstream
/// takes the place of the heap. Memory of both kinds may be out at once.
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
            return upstream_->allocate(bytes, alignment);
        if (void *entry = r_mempool_alloc_entry(handle_, bytes == 0 ? 1 : bytes))
            return entry;
        void *memory = upstream_->allocate(bytes, alignment);
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

    r_mempool *handle_;
    std::size_t largest_size_;
    std::size_t alignment_;
    std::pmr::memory_resource *upstream_;
    std::atomic<std::size_t> missed_{0}; // allocations upstream that the pool had no entry for
};

#endif

} // namespace cmempool

#endif /* CMEMPOOL_HPP */

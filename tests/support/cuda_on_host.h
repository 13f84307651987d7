// Enough of CUDA C++ to compile our kernels with an ordinary C++ compiler and run them on the host, one thread after
// the other: thread and block indices, shared memory, barriers.
//
// Where a kernel has barriers, each of its threads is a fiber that gives way in __syncthreads(). Threads and blocks run
// forward, in reverse or in random order, and shared memory is full of NaN when a block starts, so that a result that
// depends on the order, or on a barrier that is missing, comes out different. What cannot be seen here: races that
// no order of whole stretches between barriers shows, how memory is read, speed.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

struct Index { unsigned x, y, z; };
static Index threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__ static inline
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("cuda_shared")))
extern char __start_cuda_shared[] __attribute__((weak));
extern char __stop_cuda_shared[] __attribute__((weak));

enum Failure { NONE = 0, DIVERGENT_BARRIER = 1 };
enum Order { FORWARD = 0, REVERSED = 1, RANDOM = 2 };

namespace host {

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    bool done = false;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static unsigned current;
static void (*body)(void*);
static void* body_argument;

static void run_fiber() {
    body(body_argument);
    fibers[current].done = true;
}

static std::vector<unsigned> order_of(unsigned count, int order, std::mt19937& random) {
    std::vector<unsigned> numbers(count);
    std::iota(numbers.begin(), numbers.end(), 0u);
    if (order == REVERSED) std::reverse(numbers.begin(), numbers.end());
    if (order == RANDOM) std::shuffle(numbers.begin(), numbers.end(), random);
    return numbers;
}

static void run_threads(const std::vector<unsigned>& numbers) {  // of a kernel without barriers
    for (unsigned number : numbers) {
        threadIdx = {number, 0, 0};
        body(body_argument);
    }
}

static int run_fibers(const std::vector<unsigned>& numbers) {
    if (fibers.size() < numbers.size()) fibers = std::vector<Fiber>(numbers.size());
    for (unsigned number : numbers) {
        Fiber& fiber = fibers[number];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        fiber.done = false;
        makecontext(&fiber.context, run_fiber, 0);
    }
    for (;;) {  // from one barrier to the next
        unsigned finished = 0;
        for (unsigned number : numbers) {
            current = number;
            threadIdx = {number, 0, 0};
            swapcontext(&scheduler, &fibers[number].context);
            finished += fibers[number].done;
        }
        if (finished == numbers.size()) return NONE;
        if (finished) return DIVERGENT_BARRIER;  // some threads ended where others wait
    }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
}

template <class... A>
static int launch(void (*kernel)(A...), const unsigned* grid, unsigned threads, void** arguments, int order,
                  bool barriers) {
    struct Call { void (*kernel)(A...); void** arguments; } one{kernel, arguments};
    body = [](void* given) {
        Call* call_ = static_cast<Call*>(given);
        call(call_->kernel, call_->arguments, std::index_sequence_for<A...>());
    };
    body_argument = &one;
    std::mt19937 random(7);
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {threads, 1, 1};
    for (unsigned block : order_of(grid[0] * grid[1] * grid[2], order, random)) {
        blockIdx = {block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]};
        if (__start_cuda_shared) memset(__start_cuda_shared, 0xff, __stop_cuda_shared - __start_cuda_shared);
        const std::vector<unsigned> numbers = order_of(threads, order, random);
        if (!barriers) run_threads(numbers);
        else if (int failure = run_fibers(numbers)) return failure;
    }
    return NONE;
}

// What a parameter takes: 'w' a pointer to write through, 'r' one to read through, else the bytes of a number.
template <class A> static char kind_of() {
    if (!std::is_pointer_v<A>) return static_cast<char>('0' + sizeof(A));
    return std::is_const_v<std::remove_pointer_t<A>> ? 'r' : 'w';
}

template <class... A> static void describe(void (*)(A...), char* kinds) {
    const char found[] = {kind_of<A>()..., 0};
    memcpy(kinds, found, sizeof found);
}

}  // namespace host

static inline void __syncthreads() { swapcontext(&host::fibers[host::current].context, &host::scheduler); }

// What NVRTC has without a header.
using std::isfinite;
using std::max;
using std::min;
static inline float rsqrt(float x) { return 1 / std::sqrt(x); }
static inline double rsqrt(double x) { return 1 / std::sqrt(x); }

// Batch normalisation of maps (H, W, N, C): M = H W N rows of C channels, each pass reads a map once.
//
// A block takes `columns` channels of `rows` rows. Its threads lie side by side along the channels, and then along as
// many rows as there are threads for, its lanes: neighbouring threads read neighbouring memory, and every thread stays
// with one channel. Sums are built up from short ones, of a thread's rows, of a block's lanes, of all blocks, always in
// the same order: blank paper adds the same number tens of thousands of times, which one long sum in float32 would
// forget bit by bit.

constexpr int THREADS = 256;  // of a block, as in ops/cuda/__init__.py

struct Strip {  // what a thread has of a map: one channel of every so many rows
    int lane, lanes;
    long long channel, first, end, step;  // first, first + step, ... below end: nothing where first >= end
};

__device__ Strip strip_of(long long M, long long C, long long columns, long long rows)
{
    const unsigned width = (unsigned)columns;  // divisions of 64 bits take many times as long
    Strip strip;
    strip.lane = (int)(threadIdx.x / width);
    strip.lanes = (int)(blockDim.x / width);
    strip.channel = blockIdx.y * columns + threadIdx.x % width;
    const bool idle = strip.lane >= strip.lanes || strip.channel >= C;
    const long long row = blockIdx.x * rows;
    strip.first = (row + strip.lane) * C + strip.channel;
    strip.end = idle ? 0 : min(M, row + rows) * C;
    strip.step = strip.lanes * C;
    return strip;
}

struct Moments {  // of some numbers: how many, their mean, and the sum of the squares of their distances from it
    Real count, mean, squares;
};

// Chan, Golub and LeVeque 1983: the moments of both.
__device__ Moments merged(Moments a, Moments b)
{
    if (b.count == 0) return a;
    const Real count = a.count + b.count, share = b.count / count, distance = b.mean - a.mean;
    return {count, a.mean + distance * share, a.squares + b.squares + distance * distance * (a.count * share)};
}

struct Sums {
    Real dy, dy_x;
};

__device__ Sums merged(Sums a, Sums b) { return {a.dy + b.dy, a.dy_x + b.dy_x}; }

// What all lanes have, in lane 0: the rear half joins the front half until one is left. Lanes are `columns` apart.
template <class Part>
__device__ Part merge_lanes(Part* parts, Part own, int lane, int lanes, int columns)
{
    parts[threadIdx.x] = own;
    for (int half, left = lanes; left > 1; left = half) {
        half = (left + 1) / 2;
        __syncthreads();
        if (lane + half < left)
            parts[threadIdx.x] = merged(parts[threadIdx.x], parts[threadIdx.x + half * columns]);
    }
    return parts[threadIdx.x];
}

// Mean and squares of every block's rows: (C, blocks). A thread sums distances from the first number it sees. They are
// small where the numbers are alike, however large these are, and nothing cancels: the squares of n distances from one
// of n numbers sum up to at most n times those from the mean.
extern "C" __global__ void batchnorm_moments(
    const Real* __restrict__ x, Real* __restrict__ means, Real* __restrict__ squares,
    long long M, long long C, long long columns, long long rows)
{
    __shared__ Moments parts[THREADS];
    const Strip strip = strip_of(M, C, columns, rows);
    Moments own = {0, 0, 0};
    if (strip.first < strip.end) {
        const Real origin = x[strip.first];
        Real count = 0, sum = 0, sum_of_squares = 0;
        #pragma unroll 4
        for (long long i = strip.first; i < strip.end; i += strip.step) {
            const Real distance = x[i] - origin;
            count += 1;
            sum += distance;
            sum_of_squares += distance * distance;
        }
        own = {count, origin + sum / count, sum_of_squares - sum * (sum / count)};
    }
    own = merge_lanes(parts, own, strip.lane, strip.lanes, (int)columns);
    if (strip.lane == 0 && strip.channel < C) {
        means[strip.channel * gridDim.x + blockIdx.x] = own.mean;
        squares[strip.channel * gridDim.x + blockIdx.x] = own.squares;
    }
}

// Mean and variance (C,) from those of the blocks: a block for each channel.
extern "C" __global__ void batchnorm_merge_moments(
    const Real* __restrict__ means, const Real* __restrict__ squares,
    Real* __restrict__ mean, Real* __restrict__ variance, long long M, long long rows, long long blocks)
{
    __shared__ Moments parts[THREADS];
    const long long channel = blockIdx.x;
    Moments own = {0, 0, 0};
    for (long long b = threadIdx.x; b < blocks; b += blockDim.x) {
        const Real count = (Real)min(rows, M - b * rows);
        own = merged(own, Moments{count, means[channel * blocks + b], squares[channel * blocks + b]});
    }
    own = merge_lanes(parts, own, threadIdx.x, blockDim.x, 1);
    if (threadIdx.x == 0) {
        mean[channel] = own.mean;
        variance[channel] = own.squares / M;
    }
}

// y = (x - mean) scale + bias.
extern "C" __global__ void batchnorm_normalise(
    const Real* __restrict__ x, const Real* __restrict__ mean, const Real* __restrict__ scale,
    const Real* __restrict__ bias, Real* __restrict__ y, long long M, long long C, long long columns, long long rows)
{
    const Strip strip = strip_of(M, C, columns, rows);
    if (strip.first >= strip.end) return;
    const Real centre = mean[strip.channel], factor = scale[strip.channel], shift = bias[strip.channel];
    #pragma unroll 4
    for (long long i = strip.first; i < strip.end; i += strip.step) y[i] = (x[i] - centre) * factor + shift;
}

// The sums of dy and of dy (x - mean) over every block's rows: (C, blocks).
extern "C" __global__ void batchnorm_sums(
    const Real* __restrict__ dy, const Real* __restrict__ x, const Real* __restrict__ mean,
    Real* __restrict__ sums_dy, Real* __restrict__ sums_dy_x,
    long long M, long long C, long long columns, long long rows)
{
    __shared__ Sums parts[THREADS];
    const Strip strip = strip_of(M, C, columns, rows);
    Sums own = {0, 0};
    if (strip.first < strip.end) {
        const Real centre = mean[strip.channel];
        #pragma unroll 4
        for (long long i = strip.first; i < strip.end; i += strip.step) {
            own.dy += dy[i];
            own.dy_x += dy[i] * (x[i] - centre);
        }
    }
    own = merge_lanes(parts, own, strip.lane, strip.lanes, (int)columns);
    if (strip.lane == 0 && strip.channel < C) {
        sums_dy[strip.channel * gridDim.x + blockIdx.x] = own.dy;
        sums_dy_x[strip.channel * gridDim.x + blockIdx.x] = own.dy_x;
    }
}

// Both sums (C,) over all rows from those of the blocks: a block for each channel.
extern "C" __global__ void batchnorm_merge_sums(
    const Real* __restrict__ sums_dy, const Real* __restrict__ sums_dy_x,
    Real* __restrict__ sum_dy, Real* __restrict__ sum_dy_x, long long blocks)
{
    __shared__ Sums parts[THREADS];
    const long long channel = blockIdx.x;
    Sums own = {0, 0};
    for (long long b = threadIdx.x; b < blocks; b += blockDim.x)
        own = merged(own, Sums{sums_dy[channel * blocks + b], sums_dy_x[channel * blocks + b]});
    own = merge_lanes(parts, own, threadIdx.x, blockDim.x, 1);
    if (threadIdx.x == 0) {
        sum_dy[channel] = own.dy;
        sum_dy_x[channel] = own.dy_x;
    }
}

// dx = (dy - (x - mean) slope - mean_dy) scale.
extern "C" __global__ void batchnorm_input_gradient(
    const Real* __restrict__ dy, const Real* __restrict__ x, const Real* __restrict__ mean,
    const Real* __restrict__ scale, const Real* __restrict__ mean_dy, const Real* __restrict__ slopes,
    Real* __restrict__ dx, long long M, long long C, long long columns, long long rows)
{
    const Strip strip = strip_of(M, C, columns, rows);
    if (strip.first >= strip.end) return;
    const Real centre = mean[strip.channel], factor = scale[strip.channel];
    const Real shift = mean_dy[strip.channel], slope = slopes[strip.channel];
    #pragma unroll 4
    for (long long i = strip.first; i < strip.end; i += strip.step)
        dx[i] = (dy[i] - (x[i] - centre) * slope - shift) * factor;
}

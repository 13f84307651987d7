// Convolution of images of one channel, x (H, W, N), by K = kh kw offsets: im2col whose columns are never written.
//
// Window m = (i Wo + j) N + n, of P = Ho Wo N, begins in x at (s i W + t j) N + n, and its pixel k = a kw + b lies
// (a W + b) N further on. With that pixel as columns[m, k], which is only ever read from x,
//
//     y[m, o]       = sum over k of columns[m, k] weight[k, o]
//     dweight[k, o] = sum over m of columns[m, k] dy[m, o]
//
// are products of the same form: sum over d of left[d, row] right[d, o]. A block computes ROWS x COLUMNS sums, each
// of its threads OWN_ROWS x OWN_COLUMNS of them, with STEP summands of each at a time in shared memory. Beyond the last
// row, summand or o the last one is read once more, and not used.

constexpr int THREADS = 256, ROWS = 128, COLUMNS = 64, STEP = 16;
constexpr int LANES = 16;  // threads side by side along a row of sums, or of what is read
constexpr int OWN_ROWS = ROWS * LANES / THREADS, OWN_COLUMNS = COLUMNS / LANES;
constexpr int PITCH = ROWS + 4;  // of `left`, so that threads writing one below the other meet different banks

__device__ long long begin_of_window(
    long long m, long long W, long long Wo, long long N, long long sh, long long sw)
{
    return (m / N / Wo * sh * W + m / N % Wo * sw) * N + m % N;
}

__device__ long long offset_of_pixel(long long k, long long kw, long long W, long long N)
{
    return (k / kw * W + k % kw) * N;
}

// Rows first.. first + STEP - 1 of a matrix (count, O).
__device__ void read_right(
    Real (&right)[STEP][COLUMNS], const Real* matrix, long long first, long long count, long long first_o, long long O)
{
    const long long o = min(first_o + threadIdx.x % COLUMNS, O - 1);
    for (int d = threadIdx.x / COLUMNS; d < STEP; d += THREADS / COLUMNS)
        right[d][threadIdx.x % COLUMNS] = matrix[min(first + d, count - 1) * O + o];
}

__device__ void add_products(
    Real (&sum)[OWN_ROWS][OWN_COLUMNS], const Real (&left)[STEP][PITCH], const Real (&right)[STEP][COLUMNS], int count)
{
    const int row = threadIdx.x / LANES * OWN_ROWS, column = threadIdx.x % LANES;
    #pragma unroll 4
    for (int d = 0; d < count; ++d)
        #pragma unroll
        for (int r = 0; r < OWN_ROWS; ++r)
            #pragma unroll
            for (int c = 0; c < OWN_COLUMNS; ++c)
                sum[r][c] += left[d][row + r] * right[d][column + c * LANES];
}

__device__ void write_sums(
    const Real (&sum)[OWN_ROWS][OWN_COLUMNS], Real* out, long long first_row, long long rows, long long first_o,
    long long O)
{
    const long long row = first_row + threadIdx.x / LANES * OWN_ROWS, column = first_o + threadIdx.x % LANES;
    #pragma unroll
    for (int r = 0; r < OWN_ROWS; ++r)
        #pragma unroll
        for (int c = 0; c < OWN_COLUMNS; ++c)
            if (row + r < rows && column + c * LANES < O) out[(row + r) * O + column + c * LANES] = sum[r][c];
}

// Block (tile of P, tile of O): y (P, O).
extern "C" __global__ void one_channel_forward(
    const Real* __restrict__ x, const Real* __restrict__ weight, Real* __restrict__ y, long long W, long long Wo,
    long long N, long long O, long long K, long long kw, long long sh, long long sw,
    long long P)
{
    alignas(16) __shared__ Real left[STEP][PITCH];  // four pixels are read at once
    __shared__ Real right[STEP][COLUMNS];
    const long long first_m = (long long)blockIdx.x * ROWS, first_o = (long long)blockIdx.y * COLUMNS;
    const int lane = threadIdx.x % LANES, d = threadIdx.x / LANES;
    long long windows[OWN_ROWS];
    #pragma unroll
    for (int r = 0; r < OWN_ROWS; ++r)
        windows[r] = begin_of_window(min(first_m + lane + r * LANES, P - 1), W, Wo, N, sh, sw);
    Real sum[OWN_ROWS][OWN_COLUMNS] = {};
    for (long long first_k = 0; first_k < K; first_k += STEP) {
        const long long offset = offset_of_pixel(min(first_k + d, K - 1), kw, W, N);
        #pragma unroll
        for (int r = 0; r < OWN_ROWS; ++r) left[d][lane + r * LANES] = x[windows[r] + offset];
        read_right(right, weight, first_k, K, first_o, O);
        __syncthreads();
        add_products(sum, left, right, (int)min((long long)STEP, K - first_k));
        __syncthreads();
    }
    write_sums(sum, y, first_m, P, first_o, O);
}

// Block (part of P, tile of K, tile of O): for each part of so many windows the sum over them, parts (splits, K, O).
extern "C" __global__ void one_channel_dweight(
    const Real* __restrict__ x, const Real* __restrict__ dy, Real* __restrict__ parts, long long W, long long Wo,
    long long N, long long O, long long K, long long kw, long long sh, long long sw,
    long long P, long long windows)
{
    alignas(16) __shared__ Real left[STEP][PITCH];  // four pixels are read at once
    __shared__ Real right[STEP][COLUMNS];
    const long long first_k = (long long)blockIdx.y * ROWS, first_o = (long long)blockIdx.z * COLUMNS;
    const long long end_m = min((blockIdx.x + 1ll) * windows, P);
    const int d = threadIdx.x % STEP, lane = threadIdx.x / STEP;
    long long offsets[OWN_ROWS];
    #pragma unroll
    for (int r = 0; r < OWN_ROWS; ++r)
        offsets[r] = offset_of_pixel(min(first_k + lane + r * LANES, K - 1), kw, W, N);
    Real sum[OWN_ROWS][OWN_COLUMNS] = {};
    for (long long first_m = blockIdx.x * windows; first_m < end_m; first_m += STEP) {
        const long long begin = begin_of_window(min(first_m + d, end_m - 1), W, Wo, N, sh, sw);
        #pragma unroll
        for (int r = 0; r < OWN_ROWS; ++r) left[d][lane + r * LANES] = x[begin + offsets[r]];
        read_right(right, dy, first_m, end_m, first_o, O);
        __syncthreads();
        add_products(sum, left, right, (int)min((long long)STEP, end_m - first_m));
        __syncthreads();
    }
    write_sums(sum, parts + blockIdx.x * K * O, first_k, K, first_o, O);
}

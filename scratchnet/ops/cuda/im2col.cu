// Windows of feature maps (H, W, N, C) as rows of a matrix, columns (Ho Wo N, K) with K = kh kw C, and back.
//
// The images and their channels are one axis of a map, NC = N C: neighbouring threads read neighbouring memory of maps,
// and of columns where they share an image.

// One thread for each channel of each window, which it walks through.
extern "C" __global__ void im2col(
    const Real* __restrict__ x, Real* __restrict__ columns,
    long long W, long long Ho, long long Wo, long long NC, long long C, long long kh, long long kw,
    long long sh, long long sw)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= Ho * Wo * NC) return;
    const long long nc = t % NC, j = t / NC % Wo, i = t / NC / Wo;
    const Real* window = x + (i * sh * W + j * sw) * NC + nc;
    Real* row = columns + t / C * kh * kw * C + t % C;
    for (long long a = 0; a < kh; ++a)
        for (long long b = 0; b < kw; ++b) row[(a * kw + b) * C] = window[(a * W + b) * NC];
}

// dx += the columns: each pixel of dx (H, W, N, C) asks the windows that it lies in, first those where it is uppermost.
extern "C" __global__ void col2im(
    const Real* __restrict__ columns, Real* __restrict__ dx, long long H, long long W,
    long long Ho, long long Wo, long long NC, long long C, long long kh, long long kw, long long sh, long long sw)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= H * W * NC) return;
    const long long nc = t % NC, column = t / NC % W, row = t / NC / W;
    const long long first_i = row < kh ? 0 : (row - kh) / sh + 1;
    const long long first_j = column < kw ? 0 : (column - kw) / sw + 1;
    const long long last_i = min(row / sh, Ho - 1), last_j = min(column / sw, Wo - 1);
    const Real* channel = columns + nc / C * kh * kw * C + nc % C;
    Real sum = dx[t];
    for (long long i = last_i; i >= first_i; --i)
        for (long long j = last_j; j >= first_j; --j) {
            const long long a = row - i * sh, b = column - j * sw;
            sum += channel[((i * Wo + j) * NC * kh + a * C) * kw + b * C];
        }
    dx[t] = sum;
}

// Max-pooling of feature maps (H, W, N, C), one thread for each element that is written.
//
// The images and their channels are one axis here, NC = N C: neighbouring threads read neighbouring memory. A winner is
// the number kernel_size a + b of the largest pixel of its window, the first in row-major order; NONE = kernel_size^2
// says that ReLU let nothing through, so that backward needs neither its input nor its output.

typedef unsigned char Winner;

// y = max of the window (+ bias, then ReLU, where a bias is given): (Ho, Wo, NC).
extern "C" __global__ void pool_forward(
    const Real* __restrict__ x, const Real* __restrict__ bias, Real* __restrict__ y, Winner* __restrict__ winners,
    long long W, long long Ho, long long Wo, long long NC, long long C, long long kernel_size, long long stride)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= Ho * Wo * NC) return;
    const long long nc = t % NC, j = t / NC % Wo, i = t / NC / Wo;
    const Real* window = x + (i * stride * W + j * stride) * NC + nc;
    Real largest = window[0];
    int winner = 0;
    for (int a = 0; a < kernel_size; ++a)
        for (int b = 0; b < kernel_size; ++b) {
            const Real pixel = window[(a * W + b) * NC];
            if (pixel > largest || pixel != pixel) {  // a NaN wins, so that it is seen
                largest = pixel;
                winner = a * (int)kernel_size + b;
            }
        }
    if (bias) {
        largest += bias[nc % C];
        if (largest <= 0) {
            largest = 0;
            winner = (int)(kernel_size * kernel_size);
        }
    }
    y[t] = largest;
    winners[t] = (Winner)winner;
}

// dx (H, W, NC): each pixel asks the windows that it lies in whether it won.
extern "C" __global__ void pool_backward(
    const Real* __restrict__ dy, const Winner* __restrict__ winners, Real* __restrict__ dx,
    long long H, long long W, long long Ho, long long Wo, long long NC, long long kernel_size, long long stride)
{
    const long long t = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= H * W * NC) return;
    const long long nc = t % NC, column = t / NC % W, row = t / NC / W;
    const long long first_i = row < kernel_size ? 0 : (row - kernel_size) / stride + 1;
    const long long first_j = column < kernel_size ? 0 : (column - kernel_size) / stride + 1;
    Real sum = 0;
    for (long long i = first_i; i < Ho && i * stride <= row; ++i)
        for (long long j = first_j; j < Wo && j * stride <= column; ++j) {
            const long long window = (i * Wo + j) * NC + nc;
            if (winners[window] == (row - i * stride) * kernel_size + (column - j * stride)) sum += dy[window];
        }
    dx[t] = sum;
}

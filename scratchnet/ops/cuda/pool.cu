// Max-pooling of feature maps (H, W, N, C), one thread for each element that is written.
//
// The images and their channels are one axis here, NC = N C, along which the threads of a block lie: neighbours read
// neighbouring memory. The column is blockIdx.y and the row blockIdx.z, since to divide a number of 64 bits takes a GPU
// longer than to write the element.
//
// A winner is the number kernel_size a + b of the largest pixel of its window, the first in row-major order; NONE =
// kernel_size^2 says that ReLU let nothing through, so that backward needs neither its input nor its output.

typedef unsigned char Winner;

// y = max of the window (+ bias, then ReLU, where a bias is given): (Ho, Wo, NC).
extern "C" __global__ void pool_forward(
    const Real* __restrict__ x, const Real* __restrict__ bias, Real* __restrict__ y, Winner* __restrict__ winners,
    long long W, long long Wo, long long NC, long long C, long long kernel_size, long long stride)
{
    const long long nc = (long long)blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y, i = blockIdx.z;
    if (nc >= NC) return;
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
    y[(i * Wo + j) * NC + nc] = largest;
    winners[(i * Wo + j) * NC + nc] = (Winner)winner;
}

// dx (H, W, NC): each pixel asks the windows that it lies in whether it won.
extern "C" __global__ void pool_backward(
    const Real* __restrict__ dy, const Winner* __restrict__ winners, Real* __restrict__ dx,
    long long W, long long Ho, long long Wo, long long NC, long long kernel_size, long long stride)
{
    const long long nc = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (nc >= NC) return;
    const int row = blockIdx.z, column = blockIdx.y, k = (int)kernel_size, step = (int)stride;
    const int first_i = row < k ? 0 : (row - k) / step + 1, first_j = column < k ? 0 : (column - k) / step + 1;
    Real sum = 0;
    for (int i = first_i; i < Ho && i * step <= row; ++i)
        for (int j = first_j; j < Wo && j * step <= column; ++j) {
            const long long window = (i * Wo + j) * NC + nc;
            if (winners[window] == (row - i * step) * k + (column - j * step)) sum += dy[window];
        }
    dx[(row * W + column) * NC + nc] = sum;
}

// A matrix engine: a row of products a cycle, plain `a * b` and `+`, weights loaded by row.
module matrix #(parameter N = 3, WIDTH = 6) (
	input clk, rst, en, load,
	input [1:0] row,
	input [N*WIDTH-1:0] weights, x,
	input [WIDTH-1:0] offset,
	output reg [N*20-1:0] y
);
	reg [N*WIDTH-1:0] rows [0:N-1];
	genvar r;
	generate for (r = 0; r < N; r = r + 1) begin:outputs
		reg signed [19:0] sum;
		integer i;
		always @(posedge clk) if (load && row == r) rows[r] <= weights;
		always @* begin
			sum = 0;
			for (i = 0; i < N; i = i + 1)
				sum = sum + $signed(rows[r][i*WIDTH +: WIDTH]) * $signed(x[i*WIDTH +: WIDTH]);
			sum = sum - $signed({1'b0, offset});
		end
		always @(posedge clk)
			if (rst) y[r*20 +: 20] <= 0;
			else if (en) y[r*20 +: 20] <= sum < 0 ? -sum : sum;
	end endgenerate
endmodule

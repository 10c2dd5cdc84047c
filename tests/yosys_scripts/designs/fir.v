// A FIR filter as it is written in a hurry: coefficients and samples in memories, one product a
// cycle, an enable on everything, and a synchronous reset.
module fir #(parameter TAPS = 16, WIDTH = 12) (
	input clk, rst, en, load,
	input signed [WIDTH-1:0] x, coefficient,
	output reg valid,
	output reg signed [2*WIDTH+3:0] y,
	output signed [WIDTH-1:0] delayed
);
	reg signed [WIDTH-1:0] coefficients [0:TAPS-1];
	reg signed [WIDTH-1:0] samples [0:TAPS-1];
	reg signed [WIDTH-1:0] line [0:39];
	reg [3:0] tap, newest, to_load;
	reg signed [2*WIDTH+3:0] sum;
	wire signed [WIDTH-1:0] c = coefficients[tap];
	wire signed [WIDTH-1:0] s = samples[newest - tap];
	wire last = tap == TAPS - 1;
	integer i;

	always @(posedge clk) begin
		if (load) begin
			coefficients[to_load] <= coefficient;
			to_load <= to_load + 1;
		end
		if (en) begin
			if (last) samples[newest + 4'd1] <= x;
			for (i = 39; i > 0; i = i - 1) line[i] <= line[i-1];
			line[0] <= x;
		end
		if (rst) begin
			tap <= 0; newest <= 0; sum <= 0; valid <= 0; y <= 0; to_load <= 0;
		end else if (en) begin
			tap <= tap + 1;
			sum <= last ? 0 : sum + c * s;
			valid <= last;
			if (last) begin
				newest <= newest + 1;
				y <= sum + c * s;
			end
		end
	end
	assign delayed = line[39];
endmodule
